// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/tlsconfig"
)

const (
	dialTimeout    = 10 * time.Second // TCP, TLS and SASL together
	requestTimeout = 30 * time.Second // for an answer to begin, or to continue
	// The largest answers that are believed: of one who did not show yet who it
	// is, and metadata of others, with 20 to 50 bytes a partition. All that are
	// no fetch have maxControl bytes together, however many brokers answer.
	maxGreeting = 64 << 10
	maxControl  = 8 << 20
	// answerShare is by how much an answer that tells of what the request names
	// may be longer than the request, beside maxGreeting.
	answerShare = 4
	// leastPace is how many bytes of an answer must come in a second, and
	// leastWaitedFor how many in each paceWindow if others wait for the room.
	leastPace      = 64 << 10
	leastWaitedFor = 64 << 10
	paceWindow     = 5 * time.Second
)

// dialFunc opens a network connection, as [net.Dialer.DialContext] does.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialer opens authenticated connections to brokers.
type dialer struct {
	clientID  string
	tls       *tls.Config
	mechanism sasl.Mechanism // nil for none
	memory    *memory
	mayLogin  func(address string) bool
	dial      dialFunc
}

func newDialer(config settings.Kafka, memory *memory, dial dialFunc) (*dialer, error) {
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	d := &dialer{clientID: config.ClientID, memory: memory, dial: dial, mayLogin: config.MayLogin}
	var roots *x509.CertPool
	var err error
	if config.TLS.Enabled {
		if d.tls, err = tlsconfig.Client(config.TLS.TLS, "SPOUT_KAFKA_TLS"); err != nil {
			return nil, err
		}
		roots = d.tls.RootCAs
	}
	d.mechanism, err = newMechanism(config, roots)
	return d, err
}

// open connects to a broker, asks which versions of the protocol's requests it
// knows, and authenticates.
func (d *dialer) open(parent context.Context, address string) (*conn, error) {
	ctx, cancel := context.WithTimeout(parent, dialTimeout)
	defer cancel()
	c, err := d.connect(ctx, address)
	if err == nil {
		return c, nil
	}
	if parent.Err() != nil {
		return nil, parent.Err()
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("no connection to %s within %v: %w", address, dialTimeout, ctx.Err())
	}
	return nil, err
}

func (d *dialer) connect(ctx context.Context, address string) (_ *conn, err error) {
	if !d.mayLogin(address) {
		return nil, fmt.Errorf("%w at %s", errCleartext, address)
	}
	raw, err := d.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, address: address, mechanism: d.mechanism, memory: d.memory, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(d.clientID))}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if d.tls != nil {
		config := d.tls
		if config.ServerName == "" {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, &tlsError{err}
		}
		c.Conn = secure
	}
	response, err := c.request(ctx, kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		return nil, fmt.Errorf("%s did not say which protocol versions it knows (a TLS listener spoken to without TLS, or no Kafka broker?): %w", address, err)
	}
	versions := response.(*kmsg.ApiVersionsResponse)
	if err := codeError(versions.ErrorCode); err != nil {
		return nil, err
	}
	c.versions = make(map[int16][2]int16, len(versions.ApiKeys))
	for _, key := range versions.ApiKeys {
		c.versions[key.ApiKey] = [2]int16{key.MinVersion, key.MaxVersion}
	}
	if d.mechanism != nil {
		if err := c.authenticate(ctx, d.mechanism); err != nil {
			return nil, err
		}
	}
	c.loggedIn = true
	return c, nil
}

// tlsError is a handshake that failed: the other side is there, but settings
// or certificates have to be put right.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }

// conn is an authenticated connection to a broker. One request is on its way
// at a time.
type conn struct {
	net.Conn
	address     string
	mechanism   sasl.Mechanism
	renewAt     time.Time          // when to authenticate again, zero for never
	versions    map[int16][2]int16 // lowest and highest known version by request key
	format      *kmsg.RequestFormatter
	correlation int32
	out         []byte
	memory      *memory
	loggedIn    bool
}

// newestKnown is, by request key, the newest version that this package speaks.
var newestKnown = map[int16]int16{
	kmsg.Metadata.Int16():             12,
	kmsg.ListOffsets.Int16():          7,
	kmsg.OffsetForLeaderEpoch.Int16(): 4,
	kmsg.Fetch.Int16():                13,
	kmsg.ApiVersions.Int16():          0,
	kmsg.FindCoordinator.Int16():      3,
	kmsg.OffsetCommit.Int16():         8,
	kmsg.SASLHandshake.Int16():        1,
	kmsg.SASLAuthenticate.Int16():     2,
}

// oldestOfUse is the oldest version of a request that is of use here, if it is
// not the first. Brokers let only each other use the older ones.
var oldestOfUse = map[int16]int16{
	kmsg.OffsetForLeaderEpoch.Int16(): 3,
	kmsg.ListOffsets.Int16():          1,
	kmsg.Fetch.Int16():                4,
	kmsg.Metadata.Int16():             4,
	kmsg.FindCoordinator.Int16():      1,
	kmsg.OffsetCommit.Int16():         2,
	kmsg.SASLHandshake.Int16():        1, // the first has no messages around the mechanism's
}

var errVersion = errors.New("no version of a request is known to both sides")

// version returns the newest version of a request that both sides know.
func (c *conn) version(key int16) (int16, error) {
	newest := newestKnown[key]
	if key == kmsg.ApiVersions.Int16() {
		return newest, nil
	}
	known, ok := c.versions[key]
	if newest = min(newest, known[1]); !ok || newest < max(known[0], oldestOfUse[key]) {
		return 0, fmt.Errorf("%w: broker %s offers versions %d to %d of %s, this runner speaks %d to %d",
			errVersion, c.address, known[0], known[1], kmsg.NameForKey(key), oldestOfUse[key], newestKnown[key])
	}
	return newest, nil
}

// request sends a request in the newest version that both sides know and
// returns the answer. After an error the connection is of no use.
func (c *conn) request(ctx context.Context, request kmsg.Request) (kmsg.Response, error) {
	version, err := c.version(request.Key())
	if err != nil {
		return nil, err
	}
	if err := c.renew(ctx); err != nil {
		return nil, err
	}
	request.SetVersion(version)
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	if err := c.send(request); err != nil {
		return nil, c.blame(ctx, err)
	}
	size, err := c.readSize(requestTimeout)
	if err != nil {
		return nil, c.blame(ctx, err)
	}
	if most := c.most(request); size > most {
		return nil, fmt.Errorf("broker %s: an answer of %d bytes to %s is more than the %d that are accepted", c.address, size, kmsg.NameForKey(request.Key()), most)
	}
	if err := c.memory.acquireControl(ctx, int64(size)); err != nil {
		return nil, err
	}
	defer c.memory.releaseControl(int64(size))
	body := make([]byte, size)
	if err := c.readBody(body); err != nil {
		return nil, c.blame(ctx, err)
	}
	response := wire.AnswerTo(request)
	body, err = c.stripHead(body, response.IsFlexible() && request.Key() != kmsg.ApiVersions.Int16())
	if err != nil {
		return nil, err
	}
	if err := wire.ReadAnswer(response, body); err != nil {
		return nil, fmt.Errorf("answer of %s to %s: %w", c.address, kmsg.NameForKey(request.Key()), err)
	}
	return response, nil
}

// most returns the most bytes of an answer, other than to a fetch, to the
// request that was sent last.
func (c *conn) most(request kmsg.Request) int {
	switch {
	case !c.loggedIn:
		return maxGreeting
	case request.Key() == kmsg.Metadata.Int16(): // which may ask for all topics
		return maxControl
	}
	return min(maxGreeting+answerShare*len(c.out), maxControl)
}

// blame returns the context's error in place of the one that closing the
// connection caused.
func (c *conn) blame(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("broker %s: %w", c.address, err)
}

func (c *conn) send(request kmsg.Request) error {
	c.correlation++
	c.out = c.format.AppendRequest(c.out[:0], request, c.correlation)
	if err := c.SetWriteDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	_, err := c.Write(c.out)
	return err
}

// readSize waits for an answer and returns its size.
func (c *conn) readSize(patience time.Duration) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 4 || size > math.MaxInt32 {
		return 0, fmt.Errorf("an answer of %d bytes is none of Kafka's protocol", size)
	}
	return int(size), nil
}

// readBody fills body, as long as bytes keep coming, and not too slowly: what
// they take of the budget others may wait for.
func (c *conn) readBody(body []byte) error {
	came := time.Now()
	end := came.Add(requestTimeout + time.Duration(len(body))*time.Second/leastPace)
	for {
		now := time.Now()
		window := now.Add(paceWindow)
		if end.Before(window) {
			window = end
		}
		if err := c.SetReadDeadline(window); err != nil {
			return err
		}
		n, err := io.ReadFull(c, body)
		if err == nil {
			return nil
		}
		if n > 0 {
			came = time.Now()
		}
		switch now = time.Now(); {
		case !errors.Is(err, os.ErrDeadlineExceeded) || now.Sub(came) >= requestTimeout:
			return err
		case !now.Before(end), n < leastWaitedFor && c.memory.waitedFor():
			return errSlow
		}
		body = body[n:]
	}
}

// errSlow says that an answer was given up.
var errSlow = errors.New("its answer comes too slowly")

// stripHead checks and removes an answer's correlation id and tags.
func (c *conn) stripHead(body []byte, flexible bool) ([]byte, error) {
	if id := int32(binary.BigEndian.Uint32(body)); id != c.correlation {
		return nil, fmt.Errorf("broker %s answered request %d with number %d", c.address, c.correlation, id)
	}
	r := wire.Reader{Data: body, At: 4}
	if flexible {
		r.SkipTags()
	}
	if r.Bad {
		return nil, fmt.Errorf("broker %s: %w", c.address, wire.ErrShort)
	}
	return body[r.At:], nil
}
