// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"
)

// Amazon SNS sends to an address once somebody has fetched a link that it sends
// there: https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html

// confirmTimeout is how long SNS may take to confirm; it waits 15 seconds for
// the answer itself.
const confirmTimeout = 10 * time.Second

// newConfirmer makes the client that fetches links. It follows none, so that
// only SNS can be asked.
func newConfirmer() *http.Client {
	return &http.Client{Timeout: confirmTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// snsHost are the hosts of SNS: nothing else is asked, whatever a message says.
var snsHost = regexp.MustCompile(`^sns\.[a-z]{2}[a-z0-9-]{1,30}\.amazonaws\.com(\.cn)?$`)

// snsLink says whether a text is a link of SNS that confirms a subscription.
func snsLink(text string) bool {
	link, err := url.Parse(text)
	return err == nil && link.Scheme == "https" && link.User == nil && snsHost.MatchString(link.Host) && (link.Path == "" || link.Path == "/") && link.Query().Get("Action") == "ConfirmSubscription"
}

// confirmSubscription fetches the link of a message that asks for it.
func (e *endpoint) confirmSubscription(ctx context.Context, w http.ResponseWriter, r *http.Request, events []event) (answered bool, err error) {
	const kind = "SubscriptionConfirmation"
	if !e.hasHandshake("sns") || r.Header.Get("X-Amz-Sns-Message-Type") != kind || len(events) != 1 || len(events[0].records) != 1 {
		return false, nil
	}
	body := events[0].records[0].Value
	if found, _ := fieldIn(body, []string{"Type"}); found != kind {
		return true, malformed("the message is not of the type that its header says")
	}
	link, _ := fieldIn(body, []string{"SubscribeURL"})
	if !snsLink(link) {
		return true, malformed("SubscribeURL is not a link of Amazon SNS that confirms a subscription")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return true, malformed("SubscribeURL is not a link")
	}
	topic, _ := fieldIn(body, []string{"TopicArn"})
	topic = httpclient.Quote(topic) // whoever sends it says what it is
	answer, err := e.confirmer.Do(request)
	if err == nil {
		io.CopyN(io.Discard, answer.Body, maxChallenge) //nolint:errcheck // only its status matters
		answer.Body.Close()                             //nolint:errcheck // only read
		if answer.StatusCode == http.StatusOK {
			e.log.Info("a subscription of Amazon SNS is confirmed", "endpoint", e.name, "topic", topic)
			fmt.Fprintln(w, "confirmed")
			return true, nil
		}
		err = fmt.Errorf("it answers with %d", answer.StatusCode)
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the link, which has a token
	}
	e.mu.Lock()
	omitted, tell := e.unconfirmed.may(time.Now())
	e.mu.Unlock()
	if tell {
		e.log.Warn("a subscription of Amazon SNS cannot be confirmed", "endpoint", e.name, "topic", topic, "reason", err, "not_told", omitted)
	}
	return true, &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", text: "the subscription cannot be confirmed; send this again later", after: time.Second}
}
