// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// findings is what a check has found.
type findings []source.Finding

func (f *findings) well(format string, args ...any) {
	*f = append(*f, source.Finding{OK: true, Text: fmt.Sprintf(format, args...)})
}

func (f *findings) missing(format string, args ...any) {
	*f = append(*f, source.Finding{Text: fmt.Sprintf(format, args...)})
}

// Check implements [source.Checker].
func (s *Source) Check(ctx context.Context, position json.RawMessage) []source.Finding {
	var f findings
	s.check(ctx, &f, position)
	return f
}

func (s *Source) check(ctx context.Context, f *findings, position json.RawMessage) {
	if s.invalid != nil {
		f.missing("%v", s.invalid)
		return
	}
	if s.opened {
		f.missing("nats: the source is in use")
		return
	}
	s.opened = true
	s.running, s.cancel = context.WithCancel(ctx)
	if err := s.connect(); err != nil {
		f.missing("no server can be reached at %s: %v", strings.Join(s.config.Servers, ", "), s.quoted(withRemedy(err)))
		return
	}
	security := "no TLS"
	if s.config.TLS.Enabled {
		security = "TLS"
	}
	f.well("server %s: connected (%s), version %s, messages of up to %s", s.conn.ConnectedAddr(), security, s.conn.ConnectedServerVersion(), settings.Bytes(s.conn.MaxPayload()))
	s.checkRights(f)
	info, stream, err := s.info(ctx)
	if err != nil {
		f.missing("the stream %s cannot be asked for: %v", s.config.Stream, s.quoted(withRemedy(err)))
		return
	}
	state := info.State
	f.well("stream %s: created %s, retention %s, sequences %d to %d, %d messages, %s", s.config.Stream, info.Created.UTC().Format("2006-01-02T15:04:05Z"), retentionName(info.Config.Retention),
		state.FirstSeq, state.LastSeq, state.Msgs, settings.Bytes(state.Bytes))
	if problem := wrongRetention(s.config, info.Config.Retention); problem != "" {
		f.missing("%s", problem)
		return
	}
	s.checkSubjects(f, info)
	s.checkLimits(ctx, f, info)
	if s.config.Acknowledges() {
		s.checkConsumers(ctx, f, stream)
	}
	s.checkPosition(f, position, info)
}

// checkRights publishes to the subjects that the runner needs, so that nothing
// happens but that the server refuses what the user may not.
func (s *Source) checkRights(f *findings) {
	prefix, stream, consumer := s.prefix(), s.config.Stream, "spout-check"
	if s.config.Acknowledges() {
		consumer = s.config.Consumers()[0]
	}
	subjects := []string{prefix + "STREAM.INFO." + stream, prefix + "CONSUMER.CREATE." + stream + "." + consumer, prefix + "CONSUMER.INFO." + stream + "." + consumer,
		prefix + "CONSUMER.DELETE." + stream + "." + consumer, prefix + "CONSUMER.MSG.NEXT." + stream + "." + consumer}
	if len(s.config.Subjects) == 1 {
		subjects[1] += "." + s.config.Subjects[0]
	}
	if s.config.Acknowledges() {
		subjects = append(subjects, "$JS.ACK."+stream+"."+consumer+".check")
	}
	allowed := true
	for _, subject := range subjects {
		// No answer is asked for, and the server refuses these bytes as a
		// request of any kind.
		err := s.conn.Publish(subject, []byte("check"))
		if err = s.flushed(err, subject); err != nil {
			allowed = false
			f.missing("the user may not publish to %s: %v; allow it", subject, err)
		}
	}
	inbox := s.conn.NewInbox()
	sub, err := s.conn.SubscribeSync(inbox + ".*")
	if err = s.flushed(err, inbox); err != nil {
		allowed = false
		f.missing("the user may not subscribe below %s: %v; allow it, or set SPOUT_NATS_INBOX_PREFIX to what is allowed", s.config.InboxPrefix, err)
	}
	if sub != nil {
		sub.Unsubscribe() //nolint:errcheck // nothing comes
	}
	if allowed {
		f.well("the user may ask for the stream, make and delete consumers, and get answers below %s", s.config.InboxPrefix)
	}
}

// flushed waits until the server has taken what was sent, and returns what it
// has refused of a subject.
func (s *Source) flushed(err error, subject string) error {
	if err == nil {
		err = s.conn.FlushTimeout(s.times.request)
	}
	if err != nil {
		return err
	}
	if last := s.conn.LastError(); last != nil && strings.Contains(last.Error(), `"`+subject) {
		return last
	}
	return nil
}

// may says whether the user may ask for something.
func (s *Source) may(what string) bool {
	subject := s.prefix() + what
	return s.flushed(s.conn.Publish(subject, []byte("check")), subject) == nil
}

// checkSubjects looks at whether the stream has the subjects that are read.
func (s *Source) checkSubjects(f *findings, info *jetstream.StreamInfo) {
	for _, subject := range s.config.Subjects {
		known := slices.ContainsFunc(info.Config.Subjects, func(of string) bool { return matches(of, subject) || matches(subject, of) })
		if !known && len(info.Config.Subjects) > 0 {
			f.missing("the stream %s takes %s, and SPOUT_NATS_SUBJECTS has %s, which may never come; correct it, or add it to the stream", s.config.Stream, strings.Join(info.Config.Subjects, ", "), subject)
		}
	}
}

// checkLimits looks at what the server sets limits to.
func (s *Source) checkLimits(ctx context.Context, f *findings, info *jetstream.StreamInfo) {
	largest := s.conn.MaxPayload()
	if size := int64(info.Config.MaxMsgSize); size > 0 {
		largest = min(largest, size)
	}
	if largest > int64(s.most) {
		f.missing("messages may have %s, and %s of memory are for them; raise SPOUT_MEMORY_BUDGET to at least %s", settings.Bytes(largest), settings.Bytes(s.most), settings.Bytes(4*largest))
	}
	if most := info.Config.ConsumerLimits.MaxAckPending; s.config.Acknowledges() && most > 0 && s.config.MaxAckPending > most {
		f.missing("consumers of the stream %s may have %d messages out, and SPOUT_NATS_MAX_ACK_PENDING is %d; lower it", s.config.Stream, most, s.config.MaxAckPending)
	}
	if most := info.Config.ConsumerLimits.InactiveThreshold; s.config.Retention == settings.NATSInterest && most > 0 {
		f.missing("the stream %s deletes consumers after %s without a reader (consumer_limits), and what they have not read with them; take that limit away, or never pause the spout for so long", s.config.Stream, most)
	}
	if most := info.Config.MaxConsumers; most > 0 && info.State.Consumers >= most {
		f.missing("the stream %s has %d of %d consumers; raise its max_consumers, or delete one that nobody needs", s.config.Stream, info.State.Consumers, most)
	}
	if !s.may("INFO") {
		return // it is no right that the runner needs
	}
	account, err := s.js.AccountInfo(ctx)
	if err != nil {
		return
	}
	if most := account.Limits.MaxConsumers; most > 0 && account.Consumers >= most {
		f.missing("the account has %d of %d consumers; raise its limit, or delete one that nobody needs", account.Consumers, most)
	}
}

// checkConsumers looks for others of a work queue that read the same.
func (s *Source) checkConsumers(ctx context.Context, f *findings, stream jetstream.Stream) {
	if s.config.Retention != settings.NATSWorkQueue || !s.may("CONSUMER.LIST."+s.config.Stream) {
		return
	}
	list := stream.ListConsumers(ctx)
	for other := range list.Info() {
		name := other.Config.Name
		if name == "" {
			name = other.Name
		}
		filters := other.Config.FilterSubjects
		if other.Config.FilterSubject != "" {
			filters = []string{other.Config.FilterSubject}
		}
		if own := s.config.Consumers(); !slices.Contains(own[:], name) && overlap(filters, s.config.Subjects) {
			f.missing("the consumer %s of the work queue %s reads the same subjects (%s), and only one can: delete it, or set SPOUT_NATS_SUBJECTS to subjects that it does not read", name, s.config.Stream, subjectsText(filters))
		}
	}
}

// overlap says whether a message may be of both; none are all.
func overlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(x string) bool {
		return slices.ContainsFunc(b, func(y string) bool { return settings.NATSOverlap(x, y) })
	})
}

// checkPosition tells where reading begins or continues.
func (s *Source) checkPosition(f *findings, raw json.RawMessage, info *jetstream.StreamInfo) {
	if raw == nil {
		f.well("reading begins at %s", s.config.Start)
		return
	}
	if err := s.restore(raw); err != nil {
		f.missing("%v", err)
		return
	}
	problem, what := compare(s.position, info, s.config)
	switch {
	case problem == reset && s.config.OnReset != "restart", problem == gap && s.config.OnGap != "skip":
		f.missing("%s; see SPOUT_NATS_ON_RESET and SPOUT_NATS_ON_GAP", what)
	case problem != none:
		f.well("%s; reading continues, since the settings say so", what)
	default:
		f.well("reading continues at sequence %d", s.position.Next)
	}
}

func retentionName(p jetstream.RetentionPolicy) string { return retentions[p] }

var retentions = map[jetstream.RetentionPolicy]string{
	jetstream.LimitsPolicy: settings.NATSLimits, jetstream.WorkQueuePolicy: settings.NATSWorkQueue, jetstream.InterestPolicy: settings.NATSInterest,
}
