// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/nats"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// prepare connects, settles where to read and begins to, until that works.
func (s *Source) prepare(ctx context.Context) (*session, error) {
	for failures := 1; ; failures++ {
		session, err := s.tryPrepare(ctx)
		err = s.quoted(err)
		switch {
		case err == nil:
			s.counters.over()
			return session, nil
		case source.IsStop(err):
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case s.running.Err() != nil:
			return nil, errors.New("nats: the source is closed")
		}
		s.counters.note("cannot read the stream %s of NATS at %s: %v", s.config.Stream, strings.Join(s.config.Servers, ", "), withRemedy(err))
		s.complain.trouble(ctx, "prepare", err, "cannot read the stream; trying again", "stream", s.config.Stream, "servers", s.config.Servers)
		if err := sleep(ctx, delayAfter(failures)); err != nil {
			return nil, err
		}
	}
}

// quoted is what may be shown of an error: the server may say in it what it
// likes, as the password that it was sent.
func (s *Source) quoted(err error) error {
	return source.Quoted(err, s.config.Login.Password, s.config.Token.Token, s.sent())
}

func (s *Source) tryPrepare(ctx context.Context) (*session, error) {
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s.begin(ctx)
}

// info asks for the stream's.
func (s *Source) info(ctx context.Context) (*jetstream.StreamInfo, jetstream.Stream, error) {
	ctx, cancel := s.asking(ctx)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.config.Stream)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for the stream: %w", s.explained(err))
	}
	info := stream.CachedInfo()
	if max(info.State.FirstSeq, info.State.LastSeq) > maxSequence {
		return nil, nil, fmt.Errorf("the server says that the stream %s has the sequences %d to %d", s.config.Stream, info.State.FirstSeq, info.State.LastSeq)
	}
	return info, stream, nil
}

// explained is err, or what the server has said of the user's rights meanwhile:
// it does not answer a request that it refuses.
func (s *Source) explained(err error) error {
	if errors.Is(err, context.Canceled) {
		return errNotConnected
	}
	if denied := s.counters.refusal(); denied != nil && errors.Is(err, context.DeadlineExceeded) {
		return denied
	}
	return err
}

// begins is the sequence of the first message that a stream has, or will have.
func begins(state jetstream.StreamState) uint64 {
	if state.FirstSeq == 0 {
		return state.LastSeq + 1
	}
	return state.FirstSeq
}

// settle finds out where to read, and does what the policies say if what was
// read is not there any more, or what is to be read.
func (s *Source) settle(ctx context.Context) (jetstream.Stream, error) {
	info, stream, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	if problem := wrongRetention(s.config, info.Config.Retention); problem != "" {
		return nil, stopf("%s", problem)
	}
	if !s.settled {
		next, err := s.start(ctx, stream, info)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.next = positions.Position{Stream: s.config.Stream, Created: info.Created, Next: next, Subjects: s.config.Subjects}
		s.position, s.durable, s.settled = s.next, s.next, true // it is Open that gets here
		s.log.Info("reading stream", "stream", s.config.Stream, "created", info.Created, "sequence", next, "messages", info.State.Msgs, "retention", s.config.Retention, "subjects", s.config.Subjects)
		return stream, nil
	}
	began := time.Now()
	for info.Created.Equal(s.next.Created) && info.State.LastSeq+1 < s.next.Next && time.Since(began) < s.times.patience {
		// A server that has just become the stream's leader may be behind.
		if err := sleep(ctx, firstDelay); err != nil {
			return nil, err
		}
		if info, stream, err = s.info(ctx); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.reconcile(info); err != nil {
		return nil, err
	}
	return stream, nil
}

// reconcile compares where reading continues with what the stream is now. It is
// called with the lock.
func (s *Source) reconcile(info *jetstream.StreamInfo) error {
	problem, what := compare(s.next, info, s.config)
	switch problem {
	case reset:
		if s.config.OnReset != "restart" {
			return stopf("%s; set SPOUT_NATS_ON_RESET=restart to read it from its beginning, or use another output branch", what)
		}
		s.log.Warn("the stream is another one; reading it from its beginning", "stream", s.config.Stream, "why", what)
		s.next.Created, s.next.Generation, s.next.Next = info.Created, s.next.Generation+1, begins(info.State)
		s.began, s.durable, s.pending, s.ackNow = 0, s.next, nil, nil
		s.announce(nil)
	case gap:
		if s.config.OnGap != "skip" {
			return stopf("%s; set SPOUT_NATS_ON_GAP=skip to continue at the first message that there is", what)
		}
		s.log.Warn("messages are gone before they were read", "stream", s.config.Stream, "from", s.next.Next, "to", info.State.FirstSeq)
		lost := &source.Gap{From: int64(s.next.Next), To: int64(info.State.FirstSeq), Reason: "the stream no longer keeps them"}
		s.next.Next = info.State.FirstSeq
		s.announce(lost)
	}
	return nil
}

// trouble is what keeps a position from being read on.
type trouble int

const (
	none  trouble = iota
	reset         // the stream is not the one that was read
	gap           // it does not have the next messages any more
)

// compare says whether reading can continue, and if not, what has happened.
func compare(at positions.Position, info *jetstream.StreamInfo, c settings.NATS) (trouble, string) {
	state := info.State
	switch {
	case !info.Created.Equal(at.Created):
		return reset, fmt.Sprintf("the stream %s was made again: the one that was read, up to sequence %d, was created at %s, and this one, with sequences up to %d, at %s",
			at.Stream, at.Next-1, at.Created.UTC().Format(time.RFC3339Nano), state.LastSeq, info.Created.UTC().Format(time.RFC3339Nano))
	case state.LastSeq+1 < at.Next:
		return reset, fmt.Sprintf("the stream %s ends at sequence %d, and was read up to %d: it has lost messages, or was restored from a backup", at.Stream, state.LastSeq, at.Next-1)
	case !c.Acknowledges() && begins(state) > at.Next:
		return gap, fmt.Sprintf("the stream %s begins at sequence %d, and was read up to %d: what is between them was deleted before it was read", at.Stream, begins(state), at.Next-1)
	}
	return none, ""
}

// start is the sequence at which reading begins.
func (s *Source) start(ctx context.Context, stream jetstream.Stream, info *jetstream.StreamInfo) (uint64, error) {
	at, isTime := s.config.StartTime()
	switch {
	case s.config.Start == "latest":
		return info.State.LastSeq + 1, nil
	case !isTime:
		return begins(info.State), nil
	}
	ctx, cancel := s.asking(ctx)
	defer cancel()
	config := s.consumerConfig()
	config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	config.AckPolicy, config.AckWait, config.MaxAckPending, config.MaxDeliver, config.InactiveThreshold = jetstream.AckNonePolicy, 0, 0, 0, unusedWithin(unusedConsumer, stream)
	config.Name = consumerName()
	consumer, err := stream.CreateConsumer(ctx, config)
	if err != nil {
		return 0, fmt.Errorf("find the first message since %s: %w", s.config.Start, s.explained(err))
	}
	defer stream.DeleteConsumer(ctx, config.Name) //nolint:errcheck // it ends by itself, too
	return min(consumer.CachedInfo().Delivered.Stream, maxSequence) + 1, nil
}

// wrongRetention says what is wrong with the setting, "" for nothing.
func wrongRetention(c settings.NATS, is jetstream.RetentionPolicy) string {
	name := retentionName(is)
	if name == c.Retention {
		return ""
	}
	return fmt.Sprintf("the stream %s has the retention policy %s, and SPOUT_NATS_RETENTION is %s; set it to %s", c.Stream, name, c.Retention, name)
}

// covers says whether each of some subjects is within others; none are all.
func covers(outer, inner []string) bool {
	if len(outer) == 0 {
		return true
	}
	for _, subject := range inner {
		within := false
		for _, filter := range outer {
			within = within || matches(filter, subject)
		}
		if !within {
			return false
		}
	}
	return len(inner) > 0
}

// matches says whether a filter matches all that a subject, or another filter,
// does.
func matches(filter, subject string) bool {
	filters, tokens := strings.Split(filter, "."), strings.Split(subject, ".")
	for i, f := range filters {
		switch {
		case f == ">":
			return len(tokens) > i
		case i >= len(tokens) || tokens[i] == ">" || f != "*" && f != tokens[i]:
			return false
		}
	}
	return len(filters) == len(tokens)
}

func subjectsText(subjects []string) string {
	if len(subjects) == 0 {
		return "all"
	}
	return strings.Join(subjects, ", ")
}
