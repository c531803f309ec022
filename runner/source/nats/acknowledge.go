// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"errors"
	"slices"
	"time"
)

// delivery is a message that was given out and is not acknowledged.
type delivery struct {
	sequence uint64
	reply    string // where the server takes its acknowledgement
}

// again takes a message that was received before. It is called with the lock.
func (s *Source) again(sequence uint64, reply string) {
	if !s.config.Acknowledges() {
		return
	}
	at, ok := slices.BinarySearchFunc(s.pending, sequence, func(d delivery, sequence uint64) int {
		switch {
		case d.sequence < sequence:
			return -1
		case d.sequence > sequence:
			return 1
		}
		return 0
	})
	if ok { // it is on its way to a commit, and has another consumer now
		s.pending[at].reply = reply
		return
	}
	// It is in a FINISHED commit, and its acknowledgement was lost.
	if len(s.ackNow) >= 2*s.config.MaxAckPending { // a server gives out no more than half of it
		if s.session != nil {
			s.session.end(errors.New("the server gives out more than it may without acknowledgement"))
		}
		return
	}
	s.ackNow = append(s.ackNow, reply)
	kick(s.acks)
	if sequence < s.began {
		c := s.building()
		c.Redelivered++
	}
}

// What the server takes as acknowledgements: that a message is done, and that
// more time is needed.
var (
	done   = []byte("+ACK")
	inWork = []byte("+WPI")
)

// acknowledger sends acknowledgements, and asks for more time for what is not
// durable yet, until the source is closed.
func (s *Source) acknowledger() {
	ticker := time.NewTicker(s.config.AckWait.Std() / 3)
	defer ticker.Stop()
	for {
		select {
		case <-s.acks:
			s.send(done, s.toAcknowledge())
		case <-ticker.C:
			s.send(inWork, s.toExtend())
		case <-s.running.Done():
			s.send(done, s.toAcknowledge())
			if s.conn.IsConnected() {
				s.conn.FlushTimeout(closing) //nolint:errcheck // what is lost comes again
			}
			return
		}
	}
}

func (s *Source) toAcknowledge() (replies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	replies, s.ackNow = s.ackNow, nil
	return replies
}

func (s *Source) toExtend() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	replies := make([]string, len(s.pending))
	for i, d := range s.pending {
		replies[i] = d.reply
	}
	return replies
}

func (s *Source) send(what []byte, replies []string) {
	for _, reply := range replies {
		if err := s.conn.Publish(reply, what); err != nil {
			s.log.Debug("an acknowledgement was not sent; the message comes again", "error", err)
			return
		}
	}
}
