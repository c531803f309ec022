// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// codeError returns what a Kafka error code means, nil for none.
func codeError(code int16) error {
	if code == 0 {
		return nil
	}
	return kerr.ErrorForCode(code)
}

// stopf returns an error that an operator has to solve.
func stopf(format string, args ...any) error {
	return &source.Stop{Err: fmt.Errorf(format, args...)}
}

// errCleartext is about brokers of another machine that other brokers have told
// of, where only this machine's are configured.
var errCleartext = errors.New("without TLS, everybody on the way would see the password or token that is sent to the broker")

// isDenied says whether err is one that only new credentials, certificates or
// rights put right. It is tried again all the same, but seldom.
func isDenied(err error) bool {
	for _, denied := range []error{
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.SecurityDisabled,
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, errCleartext,
	} {
		if errors.Is(err, denied) {
			return true
		}
	}
	var handshake *tlsError
	var timeout net.Error
	return errors.As(err, &handshake) && !isHangup(err) && !(errors.As(err, &timeout) && timeout.Timeout())
}

// remedy says what an operator can do about an error of isDenied.
func remedy(err error) string {
	var handshake *tlsError
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return "give the user the operations Describe and Read on the topic"
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "give the user the operation Describe on the cluster"
	case errors.Is(err, errCleartext):
		return "set SPOUT_KAFKA_TLS=true, or SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS=true where the network is trusted"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "set SPOUT_KAFKA_SASL_MECHANISM to one that the brokers offer"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "see whether SPOUT_KAFKA_SASL_MECHANISM and the secret of the credentials are right"
	case errors.As(err, &handshake):
		return "see whether the brokers' certificate names them and SPOUT_KAFKA_TLS_CA has its authority, and whether they want a client certificate"
	}
	return ""
}

// isHangup says whether err is a connection that the other side ended, as
// brokers do with idle ones and when a SASL session ran out.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// repeatEvery is how often the log repeats a complaint whose cause lasts.
const repeatEvery = 5 * time.Second

// complaints writes log lines about what goes wrong, once per cause and interval.
type complaints struct {
	log  hclog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

// about logs a complaint, unless its cause was complained about just now.
func (c *complaints) about(cause string, level hclog.Level, message string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last[cause]) < repeatEvery {
		return
	}
	if c.last == nil || len(c.last) > 10000 {
		c.last = map[string]time.Time{}
	}
	c.last[cause] = now
	c.log.Log(level, message, args...)
}

// trouble logs that something failed and is tried again.
func (c *complaints) trouble(ctx context.Context, cause string, err error, message string, args ...any) {
	if ctx.Err() != nil {
		return
	}
	level := hclog.Warn
	if isDenied(err) {
		level = hclog.Error
	}
	args = append(args, "error", err)
	if fix := remedy(err); fix != "" {
		args = append(args, "fix", fix)
	}
	c.about(cause, level, message, args...)
}

// Delays between attempts, doubled from the first to the last.
const (
	firstDelay  = 50 * time.Millisecond
	lastDelay   = 2 * time.Second
	deniedDelay = 30 * time.Second // last delay after errors of isDenied
)

// delayAfter returns how long to wait after a number of failures in a row.
func delayAfter(failures int, err error) time.Duration {
	last := lastDelay
	if isDenied(err) {
		last = deniedDelay
	}
	delay := last
	if failures < 16 {
		delay = min(last, firstDelay<<max(failures-1, 0))
	}
	return jitter(delay)
}

// sleep waits, less if ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jitter returns d give or take a fifth, so that many runners do not come at once.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1)
}
