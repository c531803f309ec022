// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
)

// newMechanism returns the SASL mechanism of the settings, nil for none.
func newMechanism(config settings.Kafka, roots *x509.CertPool) (mechanism sasl.Mechanism, err error) {
	switch config.SASL.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: config.SASL.Username, Password: config.SASL.Password}, nil
	case "scram-sha-256":
		mechanism, err = newScram(scram.SHA256, config)
	case "scram-sha-512":
		mechanism, err = newScram(scram.SHA512, config)
	case "oauthbearer":
		return newOAuth(config, roots), nil
	default:
		err = fmt.Errorf("SPOUT_KAFKA_SASL_MECHANISM is %q", config.SASL.Mechanism)
	}
	if err != nil {
		return nil, errors.New("SPOUT_KAFKA_SASL_USERNAME or SPOUT_KAFKA_SASL_PASSWORD cannot be used with " + config.SASL.Mechanism)
	}
	return mechanism, nil
}

// maxIterations is the most rounds of hashing that a broker may have a SCRAM
// client do, a fraction of a second. Kafka itself takes at most 16,384.
const maxIterations = 100_000

// boundedScram is SCRAM that refuses to hash for hours because a broker says so.
type boundedScram struct{ sasl.Mechanism }

func newScram(algorithm scram.Algorithm, config settings.Kafka) (sasl.Mechanism, error) {
	mechanism, err := scram.Mechanism(algorithm, config.SASL.Username, config.SASL.Password)
	return boundedScram{mechanism}, err
}

// Start implements [sasl.Mechanism].
func (m boundedScram) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	state, message, err := m.Mechanism.Start(ctx)
	return boundedState{state}, message, err
}

type boundedState struct{ sasl.StateMachine }

// Next implements [sasl.StateMachine].
func (s boundedState) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	for field := range strings.SplitSeq(string(challenge), ",") { // as RFC 5802 has it: r=…,s=…,i=…
		if count, ok := strings.CutPrefix(field, "i="); ok {
			if n, err := strconv.Atoi(count); err != nil || n > maxIterations {
				return false, nil, fmt.Errorf("the broker asks for %.20s iterations of SCRAM, more than the %d that are accepted", count, maxIterations)
			}
		}
	}
	return s.StateMachine.Next(ctx, challenge)
}

// sessionShare is how much of a session's life is used before it is renewed.
const sessionShare = 0.85

// authenticate authenticates the connection, or renews its session (KIP-368).
func (c *conn) authenticate(ctx context.Context, mechanism sasl.Mechanism) error {
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Mechanism = mechanism.Name()
	answer, err := c.request(ctx, handshake)
	if err != nil {
		return err
	}
	offer := answer.(*kmsg.SASLHandshakeResponse)
	if err := codeError(offer.ErrorCode); err != nil {
		return fmt.Errorf("the broker takes no %s, but %s: %w", mechanism.Name(), words(mechanism, strings.Join(offer.SupportedMechanisms, ", ")), err)
	}
	host, port, _ := net.SplitHostPort(c.address)
	number, _ := strconv.Atoi(port)
	state, message, err := mechanism.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: host, Port: number}))
	if err != nil {
		return err
	}
	for {
		request := kmsg.NewPtrSASLAuthenticateRequest()
		request.SASLAuthBytes = message
		answer, err := c.request(ctx, request)
		if isHangup(err) { // how some brokers say no
			return fmt.Errorf("%w: broker %s has ended the connection", kerr.SaslAuthenticationFailed, c.address)
		}
		if err != nil {
			return err
		}
		reply := answer.(*kmsg.SASLAuthenticateResponse)
		if err := codeError(reply.ErrorCode); err != nil {
			return c.refusal(err, reply.ErrorMessage)
		}
		done, next, err := state.Next(ctx, reply.SASLAuthBytes)
		if err != nil {
			return fmt.Errorf("%w: %w", kerr.SaslAuthenticationFailed, err)
		}
		if done {
			c.renewAt = time.Time{}
			if life := time.Duration(reply.SessionLifetimeMillis) * time.Millisecond; life > 0 {
				c.renewAt = time.Now().Add(time.Duration(sessionShare * float64(life)))
			}
			return nil
		}
		message = next
	}
}

// refusal is the error of a broker that does not let the user in.
func (c *conn) refusal(err error, message *string) error {
	if message != nil && *message != "" {
		return fmt.Errorf("%w: broker %s says: %s", err, c.address, words(c.mechanism, *message))
	}
	return fmt.Errorf("%w: broker %s", err, c.address)
}

// words returns what may be shown of a broker's words to a mechanism: some
// brokers repeat what they were sent.
func words(mechanism sasl.Mechanism, text string) string {
	switch m := mechanism.(type) {
	case plain.Mechanism:
		return httpclient.Quote(text, m.Password)
	case *oauth:
		return httpclient.Quote(text, m.given())
	}
	return httpclient.Quote(text) // the others send no secret
}

// renew authenticates again before the session ends, at which the broker would
// end the connection.
func (c *conn) renew(ctx context.Context) error {
	if c.renewAt.IsZero() || time.Now().Before(c.renewAt) {
		return nil
	}
	c.renewAt = time.Time{} // or it would be renewed by its own requests
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return c.authenticate(ctx, c.mechanism)
}
