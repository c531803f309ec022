// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

// Refused says why a value cannot become a row.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

func refusef(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// Registry looks schemas up and keeps them. It is used by one goroutine.
type Registry struct {
	client   *sr.Client
	prober   *sr.Client // for what may be many at once
	url      string
	maker    maker
	log      hclog.Logger
	known    map[int]known
	size     int           // of the schemas that are known
	most     int           // that this may be
	unknown  map[int]known // that the registry does not have
	there    map[int]bool  // that were foreseen, and are not unknown
	secrets  []string      // which it is sent, and might repeat
	proven   bool          // it has answered with a schema: its URL is right
	apicurio []apicurioAPI // its own APIs, if it is one of Apicurio's

	numbers    map[wireID]int // for the time being, of schemas that have other names
	wires      map[int]wireID // the same the other way round
	lastNumber int
	joined     []byte // scratch

	// Making is called before a schema is made use of, which is work rather
	// than something to wait for, and what it returns afterwards; nil for nothing.
	Making func() (done func())
}

// known is what is known of a schema: what it makes of values, or why it
// cannot be used.
type known struct {
	values  *Values
	refused error
	until   time.Time // of one that is unknown
}

// unknownFor is how long a schema that the registry does not know is not asked
// for again.
const unknownFor = time.Minute

// NewRegistry returns the registry of validated settings, nil if there is none.
// It connects when it is first asked.
func NewRegistry(s settings.Settings, log hclog.Logger) (*Registry, error) {
	c := s.SchemaRegistry
	if c.URL == "" {
		return nil, nil
	}
	config, err := tlsconfig.Client(c.TLS, "SPOUT_SCHEMA_REGISTRY_TLS")
	if err != nil {
		return nil, err
	}
	web := httpclient.New(config, 10*time.Second)
	if c.TokenURL != "" {
		web.Transport = withTokens(c, web)
	}
	web.Transport = newForeign(c, web.Transport)
	web = needed(web)
	options := []sr.ClientOpt{sr.URLs(c.URL), sr.UserAgent("spout-runner"), sr.HTTPClient(web)}
	if c.Username != "" && c.TokenURL == "" && c.Kind() != "glue" {
		options = append(options, sr.BasicAuth(c.Username, c.Password))
	}
	if c.Token != "" && c.Kind() != "glue" {
		options = append(options, sr.BearerToken(c.Token))
	}
	client, err := sr.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	probing := sr.HTTPClient(&http.Client{Timeout: web.Timeout, Transport: unread{web.Transport}})
	prober, err := sr.NewClient(append(options[:len(options):len(options)], probing)...)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	columns := 0
	if s.File.Format == "parquet" {
		columns = MaxColumns(s.MemoryBudget)
	}
	apicurio, err := newApicurio(c.URL, options, probing)
	if err != nil {
		return nil, err
	}
	secrets := []string{c.Token, base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password)), c.Password}
	return &Registry{client: client, prober: prober, url: address.Redacted(c.URL), most: int(max(s.MemoryBudget/knownInBudget, leastKnown)), log: log,
		maker: maker{of: CoordinatesOf(s.Layout()), columns: columns, largest: s.LargestRecord(), json: s.File.Format == "jsonl", logical: logicalTypes[s.SchemaRegistry.LogicalTypes], depth: s.File.RecursionDepth},
		known: map[int]known{}, unknown: map[int]known{}, there: map[int]bool{}, secrets: secrets, apicurio: apicurio}, nil
}

// Tombstones are rows of records without values of which no schema is known.
func (r *Registry) Tombstones() *Rows { return r.maker.of.tombstones }

// Pauses between attempts to reach the registry.
const (
	minRegistryPause = 250 * time.Millisecond
	maxRegistryPause = 10 * time.Second
)

// Known is [Registry.Lookup] of a schema that need not be asked for; ok is
// false for others.
func (r *Registry) Known(id int) (values *Values, err error, ok bool) { //nolint:revive // the error is the schema's
	if k, ok := r.known[id]; ok {
		if v := k.values; v != nil && v.fields != nil && *v.fields != v.counted {
			r.recount(id, k)
		}
		return k.values, k.refused, true
	}
	if most, beyond := r.isBeyond(id); beyond {
		return nil, refusef("the registry does not know the schema %s: its numbers end at %d", r.NameOf(id), most), true
	}
	if k, ok := r.unknown[id]; ok && time.Now().Before(k.until) {
		return nil, k.refused, true
	}
	return nil, nil, false
}

// isBeyond says whether a schema has a number that no registry gives, and which
// is the largest: those of Apicurio's own have 64 bits.
func (r *Registry) isBeyond(id int) (most uint64, beyond bool) {
	w, named := r.wires[id]
	switch {
	case !named:
		return math.MaxInt32, id > math.MaxInt32
	case w.kind == byGUID:
		return 0, false
	case len(r.apicurio) == 0:
		return math.MaxInt32, w.number() > math.MaxInt32
	}
	return math.MaxInt64, w.number() > math.MaxInt64
}

// Lookup returns what to do with values of a schema. While the registry cannot
// be reached it waits until ctx ends. That the registry does not know the
// schema, or that it cannot be used, is a *Refused.
func (r *Registry) Lookup(ctx context.Context, id int) (*Values, error) {
	if values, err, ok := r.Known(id); ok {
		return values, err
	}
	said := ""
	for pause := minRegistryPause; ; pause = min(2*pause, maxRegistryPause) {
		values, err := r.ask(ctx, id)
		var refused *Refused
		if err == nil || errors.As(err, &refused) {
			if k := (known{values: values, refused: err}); IsUnknown(err) {
				r.note(id, k)
			} else {
				r.keep(id, k)
			}
			return values, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("schema %d: %w", id, ctx.Err())
		}
		if reason := r.shown(err); reason != said { // while it lasts, it is said once
			said = reason
			r.log.Warn("waiting for the schema registry", "url", r.url, "schema", r.NameOf(id), "reason", reason)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("schema %d: %w", id, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// The schemas that are kept are bounded, by what they take: who may produce
// records can name all that the registry has.
const (
	knownInBudget = 8       // the part of the memory budget that they may be
	leastKnown    = 8 << 20 // and that they may be in any case
	knownMemory   = 1 << 10 // of each
)

// MostKept is how much memory the schemas that are kept may take.
func (r *Registry) MostKept() int { return r.most }

const (
	// fieldMemory is about what a field of a schema takes.
	fieldMemory = 200
	// protobufMemory is about what a byte of a compiled schema takes.
	protobufMemory = 40
)

// sizeOf is about how much memory what is known of a schema takes.
func sizeOf(k known) int {
	size := knownMemory
	if k.values != nil {
		size += k.values.Memory()
		if k.values.rows != nil {
			size += k.values.rows.Memory()
		}
	}
	return size
}

// keep keeps what is known of a schema, and forgets all others if they are too
// many: they can be asked for again.
func (r *Registry) keep(id int, k known) {
	size := sizeOf(k)
	if r.size += size; r.size > r.most {
		clear(r.known)
		r.size = size
	}
	r.known[id] = k
}

// recount counts the messages that have been met since of a schema that is kept.
func (r *Registry) recount(id int, k known) {
	r.size -= sizeOf(k)
	k.values.counted = *k.values.fields
	r.keep(id, k)
}

// Newest returns what the newest schema of a topic's values makes of them, by
// the name under which serializers register it unless they are told otherwise.
// It asks once, and returns nil if that brings none that can be used.
func (r *Registry) Newest(ctx context.Context, topic string) *Values {
	s, err := r.client.SchemaByVersion(ctx, topic+"-value", -1)
	if err != nil {
		return nil
	}
	if values, _, ok := r.Known(s.ID); ok {
		return values
	}
	values, err := r.ask(ctx, s.ID)
	if err != nil {
		return nil
	}
	r.keep(s.ID, known{values: values})
	return values
}

// maxUnknown is how many unknown schemas are kept in mind. Values that are no
// registry's can begin like such, and name any number.
const maxUnknown = 20_000

// note keeps an unknown schema in mind, for a while.
func (r *Registry) note(id int, k known) {
	now := time.Now()
	if len(r.unknown) >= maxUnknown {
		maps.DeleteFunc(r.unknown, func(_ int, k known) bool { return !now.Before(k.until) })
	}
	if len(r.unknown) >= maxUnknown {
		clear(r.unknown)
	}
	k.until = now.Add(unknownFor)
	r.unknown[id] = k
}

// IsUnknown says whether the registry does not have a schema, which may change.
func IsUnknown(err error) bool {
	var unknown *unknownError
	return errors.As(err, &unknown)
}

// unknownError says that the registry has no such schema.
type unknownError struct{ *Refused }

func (u *unknownError) Unwrap() error { return u.Refused }

// Source is a schema as the registry has it.
type Source struct {
	Name string // by which others refer to it; "" for the schema itself
	Text string
}

// ask reads a schema and all that it refers to, in the order in which they
// build on each other.
func (r *Registry) ask(ctx context.Context, id int) (*Values, error) {
	s, err := r.schema(ctx, r.client, id)
	if err != nil {
		if _, missing := notFound(err); missing && !r.proven {
			r.proven = r.isRegistry(ctx)
		}
		return nil, r.unknownSchema(err, id)
	}
	r.proven = true
	c := &collector{registry: r, seen: map[sr.SchemaReference]bool{}}
	if err := c.references(ctx, s.References, 0); err != nil {
		return nil, err
	}
	if err := c.add(Source{Text: s.Schema}); err != nil {
		return nil, err
	}
	if r.Making != nil {
		defer r.Making()()
	}
	values, err := r.maker.values(ctx, id, r.NameOf(id), s.Type, c.sources)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%w", ctx.Err())
	}
	if err != nil {
		return nil, refusef("its schema %s cannot be used: %.500v", r.NameOf(id), err)
	}
	if size, most := sizeOf(known{values: values}), r.most/2; size > most {
		return nil, refusef("its schema %s takes about %d bytes of memory, more than the %d that one schema may take. SPOUT_MEMORY_BUDGET raises that limit", r.NameOf(id), size, most)
	}
	return values, nil
}

type collector struct {
	registry *Registry
	seen     map[sr.SchemaReference]bool
	sources  []Source
	size     int
}

const (
	// maxSources bounds how many schemas one refers to, with those that they
	// refer to.
	maxSources = 500
	// maxSchema bounds their length.
	maxSchema = 8 << 20
)

func (c *collector) add(s Source) error {
	if c.size += len(s.Text); c.size > maxSchema {
		return refusef("its schema and what it refers to are longer than %d bytes", maxSchema)
	}
	c.sources = append(c.sources, s)
	return nil
}

func (c *collector) references(ctx context.Context, list []sr.SchemaReference, depth int) error {
	for _, reference := range list {
		if c.seen[reference] || depth > settings.MaxDepth {
			continue
		}
		c.seen[reference] = true
		if len(c.seen) > maxSources {
			return refusef("its schema refers to more than %d others", maxSources)
		}
		s, err := c.registry.client.SchemaByVersion(ctx, reference.Subject, reference.Version)
		if err != nil {
			return c.registry.asRefused(err, "the registry does not know version %d of %.200q, which the schema refers to", reference.Version, reference.Subject)
		}
		if err := c.references(ctx, s.References, depth+1); err != nil {
			return err
		}
		if err := c.add(Source{Name: reference.Name, Text: s.Schema.Schema}); err != nil {
			return err
		}
	}
	return nil
}

// asRefused tells that something is not in the registry from all that may get
// better: a network, a server or credentials that fail.
func (r *Registry) asRefused(err error, format string, args ...any) error {
	if errors.Is(err, httpclient.ErrTooLong) {
		return &unknownError{&Refused{"the registry's answer about its schema is longer than 8 MiB"}}
	}
	if errors.Is(err, errAnswer) {
		return &unknownError{&Refused{errAnswer.Error()}}
	}
	response, missing := notFound(err)
	if !missing {
		return err
	}
	// A proxy's page and a wrong path are 404 too, but have no code of the
	// registry. Apicurio's may be 0 and Confluent's the 404 of a wrong path:
	// that is no reason to wait once a schema was found.
	if response.ErrorCode/100 != http.StatusNotFound && (!r.proven || !isErrorBody(response.Raw)) {
		return err
	}
	return &unknownError{&Refused{fmt.Sprintf(format, args...)}}
}

// notFound returns the answer that an error is of, if it is 404.
func notFound(err error) (response *sr.ResponseError, ok bool) {
	ok = errors.As(err, &response) && response.StatusCode == http.StatusNotFound
	return response, ok
}

// isRegistry asks for a number that hardly any registry has come to, so that a
// code of its own shows that the URL is right. Without it, a producer whose first
// record names a schema in a way that the registry does not know would be waited
// for.
func (r *Registry) isRegistry(ctx context.Context) bool {
	_, err := r.client.SchemaByID(ctx, math.MaxInt32)
	var response *sr.ResponseError
	return err == nil || errors.As(err, &response) && response.ErrorCode/100 == http.StatusNotFound
}

// isErrorBody says whether an answer is what a registry says of an error.
func isErrorBody(body []byte) bool {
	var d document
	d.maxContainers = maxAnswerParts
	root, err := d.parse(body)
	return err == nil && d.member(root, "error_code").exists()
}

// shown returns what the log tells of an error: of what was answered only what
// the registry itself says, but no page of whoever is in its place.
func (r *Registry) shown(err error) string {
	var response *sr.ResponseError
	if !errors.As(err, &response) {
		return httpclient.Reason(err).Error()
	}
	text := fmt.Sprintf("it answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	if response.ErrorCode != 0 {
		text += fmt.Sprintf(", error_code %d: %s", response.ErrorCode, httpclient.Quote(response.Message, r.secrets...))
	}
	return text
}
