// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
)

const (
	tokenTimeout = 10 * time.Second
	// tokenShare is how much of a token's life is used before another is asked
	// for. It is less than a session's, which ends with the token.
	tokenShare = 0.8
	maxToken   = 64 << 10
	// maxTokenAnswer is how much is read of an answer: the library makes a table
	// of all that is in one, which takes many times as much.
	maxTokenAnswer = 2 * maxToken
)

// oauth is the mechanism OAUTHBEARER (RFC 7628), with tokens of the client
// credentials flow (RFC 6749, section 4.4). One token serves all connections.
type oauth struct {
	config     clientcredentials.Config
	client     *http.Client
	extensions []string // name=value

	turn    chan struct{} // taken while what follows is used; who waits for it may give up
	renewAt time.Time
	token   atomic.Pointer[oauth2.Token] // read out of turn, too
}

func newOAuth(config settings.Kafka, roots *x509.CertPool) *oauth {
	o := &oauth{
		config:     clientcredentials.Config{ClientID: config.SASL.Username, ClientSecret: config.SASL.Password, TokenURL: config.SASL.TokenURL},
		client:     httpclient.New(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, tokenTimeout),
		extensions: config.SASL.Extensions,
		turn:       make(chan struct{}, 1),
	}
	o.client.Transport = short{o.client.Transport}
	if config.SASL.Scope != "" {
		o.config.Scopes = strings.Fields(config.SASL.Scope)
	}
	return o
}

// short reads no more than the beginning of answers.
type short struct{ http.RoundTripper }

func (s short) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxTokenAnswer), answer.Body}
	return answer, nil
}

// Name implements [sasl.Mechanism].
func (o *oauth) Name() string { return "OAUTHBEARER" }

// Start implements [sasl.Mechanism].
func (o *oauth) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	token, err := o.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	var message strings.Builder
	message.WriteString("n,,\x01auth=Bearer " + token + "\x01")
	for _, extension := range o.extensions {
		message.WriteString(extension + "\x01")
	}
	message.WriteString("\x01")
	return o, []byte(message.String()), nil
}

// Next implements [sasl.StateMachine]: there is no challenge but one that says
// what is wrong with the token.
func (o *oauth) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	if len(challenge) > 0 {
		return false, nil, fmt.Errorf("the broker refuses the token: %s", words(o, string(challenge)))
	}
	return true, nil, nil
}

// current returns a token, a new one if the last has not long to live.
func (o *oauth) current(ctx context.Context) (string, error) {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := time.Now()
	old := o.token.Load()
	if old != nil && now.Before(o.renewAt) {
		return old.AccessToken, nil
	}
	token, err := o.config.Token(context.WithValue(ctx, oauth2.HTTPClient, o.client))
	if err != nil {
		if old != nil && old.Valid() {
			return old.AccessToken, nil // it does for now
		}
		return "", o.tokenError(err)
	}
	if len(token.AccessToken) > maxToken || !tokenForm.MatchString(token.AccessToken) {
		return "", fmt.Errorf("SPOUT_KAFKA_SASL_TOKEN_URL=%s gives no token that can be sent to a broker: a token has at most 64 KiB of visible ASCII characters", address.Redacted(o.config.TokenURL))
	}
	o.token.Store(&oauth2.Token{AccessToken: token.AccessToken, Expiry: token.Expiry}) // without the table
	o.renewAt = now                                                                    // one whose life is not told is used once
	if !token.Expiry.IsZero() {
		o.renewAt = now.Add(time.Duration(tokenShare * float64(token.Expiry.Sub(now))))
	}
	return token.AccessToken, nil
}

// tokenForm keeps a token from saying more to a broker than what it is.
var tokenForm = regexp.MustCompile(`^[\x21-\x7e]+$`)

// given is the newest token.
func (o *oauth) given() string {
	if newest := o.token.Load(); newest != nil {
		return newest.AccessToken
	}
	return ""
}

// secrets are the forms in which the endpoint gets the client's secret.
func (o *oauth) secrets() []string {
	id, secret := url.QueryEscape(o.config.ClientID), url.QueryEscape(o.config.ClientSecret)
	return []string{o.config.ClientSecret, secret, base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))}
}

// tokenError says why there is no token. What the endpoint refuses is as
// lasting as what a broker refuses.
func (o *oauth) tokenError(err error) error {
	endpoint := "SPOUT_KAFKA_SASL_TOKEN_URL=" + address.Redacted(o.config.TokenURL)
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return fmt.Errorf("no token from %s: %w", endpoint, httpclient.Reason(err))
	}
	status := fmt.Sprintf("%d %s", refused.Response.StatusCode, http.StatusText(refused.Response.StatusCode))
	if refused.Response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("no token from %s: %s", endpoint, status)
	}
	return fmt.Errorf("%w: no token from %s: %s %s", kerr.SaslAuthenticationFailed, endpoint, status,
		httpclient.Quote(refused.ErrorCode+" "+refused.ErrorDescription, o.secrets()...))
}
