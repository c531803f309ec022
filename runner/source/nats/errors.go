// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

// stopf returns an error that an operator has to solve.
func stopf(format string, args ...any) error {
	return &source.Stop{Err: fmt.Errorf(format, args...)}
}

// errCleartext is about servers of another machine that others have told of,
// where only this machine's are configured.
var errCleartext = errors.New("without TLS, everybody on the way would see the password or token that is sent to the server")

// errNotConnected is about a request whose connection was lost, or that had none.
var errNotConnected = errors.New("there is no connection to a server")

// Error codes of JetStream's interface that the client has no names for.
const (
	codeQueueUnfiltered = 10099 // another consumer of a work queue has no filter, or this one
	codeQueueNotUnique  = 10100 // another consumer of a work queue has the same subjects
	codeMaxAckPending   = 10121 // more than the account or the stream allows
)

// remedy says what an operator can do about an error, "" for nothing in
// particular.
func remedy(err error) string {
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var api *jetstream.APIError
	switch {
	case errors.Is(err, errCleartext):
		return "set SPOUT_NATS_TLS=true, or SPOUT_NATS_ALLOW_CLEARTEXT_CREDENTIALS=true where the network is trusted"
	case errors.Is(err, client.ErrPermissionViolation):
		return "give the user the rights that the guide of the NATS source lists"
	case errors.Is(err, client.ErrAuthorization), errors.Is(err, client.ErrAuthExpired), errors.Is(err, client.ErrAuthRevoked), errors.Is(err, client.ErrAccountAuthExpired), errors.Is(err, client.ErrNkeysNotSupported):
		return "see whether the secret has what this user logs in with, and whether it has expired"
	case errors.Is(err, client.ErrSecureConnRequired):
		return "set SPOUT_NATS_TLS=true"
	case errors.Is(err, client.ErrSecureConnWanted):
		return "the server has no TLS: take SPOUT_NATS_TLS out, or configure TLS at the server"
	case errors.As(err, &certificate), errors.As(err, &authority), errors.As(err, &record), err != nil && strings.Contains(err.Error(), "tls: "):
		return "see whether the server's certificate names it and SPOUT_NATS_TLS_CA has its authority, and whether it wants a client certificate"
	case errors.Is(err, client.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return "enable JetStream at the servers and for the user's account, or set SPOUT_NATS_DOMAIN to the domain that has the stream"
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return "create the stream, or see whether SPOUT_NATS_STREAM names it and the user belongs to its account"
	case errors.Is(err, jetstream.ErrConsumerMultipleFilterSubjectsNotSupported):
		return "update the servers to 2.10, or name one subject in SPOUT_NATS_SUBJECTS"
	case errors.Is(err, jetstream.ErrMaximumConsumersLimit):
		return "raise max_consumers of the stream or of the account, or delete consumers that nobody needs. The server deletes that of a runner which has crashed after 5 minutes"
	case errors.As(err, &api) && (api.ErrorCode == codeQueueUnfiltered || api.ErrorCode == codeQueueNotUnique):
		return "a message of a work queue goes to one consumer: delete the other one, or set SPOUT_NATS_SUBJECTS to subjects that no other has"
	case errors.As(err, &api) && api.ErrorCode == codeMaxAckPending:
		return "set SPOUT_NATS_MAX_ACK_PENDING to what the stream and the account allow"
	}
	return ""
}

// isDenied says whether err is one that only new credentials, certificates or
// rights put right. It is tried again all the same.
func isDenied(err error) bool {
	for _, denied := range []error{client.ErrPermissionViolation, client.ErrAuthorization, client.ErrAuthExpired, client.ErrAuthRevoked, client.ErrAccountAuthExpired,
		client.ErrNkeysNotSupported, client.ErrSecureConnRequired, client.ErrSecureConnWanted, errCleartext} {
		if errors.Is(err, denied) {
			return true
		}
	}
	return err != nil && strings.Contains(err.Error(), "tls: ")
}

// withRemedy is err with what can be done about it.
func withRemedy(err error) error {
	if fix := remedy(err); fix != "" {
		return fmt.Errorf("%w; %s", err, fix)
	}
	return err
}

// repeatEvery is how often the log repeats a complaint whose cause lasts.
const repeatEvery = 5 * time.Second

// complaints writes log lines about what goes wrong, once per cause and interval.
type complaints struct {
	log  hclog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

// trouble logs that something failed and is tried again.
func (c *complaints) trouble(ctx context.Context, cause string, err error, message string, args ...any) {
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last[cause]) < repeatEvery {
		return
	}
	if c.last == nil || len(c.last) > 1000 {
		c.last = map[string]time.Time{}
	}
	c.last[cause] = now
	level := hclog.Warn
	if isDenied(err) {
		level = hclog.Error
	}
	args = append(args, "error", err)
	if fix := remedy(err); fix != "" {
		args = append(args, "fix", fix)
	}
	c.log.Log(level, message, args...)
}

// Delays between attempts, doubled from the first to the last.
const (
	firstDelay = 50 * time.Millisecond
	lastDelay  = 2 * time.Second
)

// delayAfter returns how long to wait after a number of failures in a row.
func delayAfter(failures int) time.Duration {
	delay := lastDelay
	if failures < 8 {
		delay = min(lastDelay, firstDelay<<max(failures-1, 0))
	}
	return delay - time.Duration(rand.Int64N(int64(delay)/4))
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
