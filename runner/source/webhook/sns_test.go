// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// answering is a transport in place of the network.
type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// Subscriptions of Amazon SNS are confirmed where that is switched on, by links
// of SNS alone, and for those who know the password.
func TestSNS(t *testing.T) {
	t.Parallel()
	secret := secretFile(t, "sns:sesame")
	o := open(t, endpoints(t, `{"on":{"auth":"basic","secret_files":["`+secret+`"],"handshakes":["sns"]},"off":{"auth":"basic","secret_files":["`+secret+`"]}}`), nil)
	var asked []string
	status, failure := http.StatusOK, error(nil)
	o.Source.byPath["/on"].confirmer.Transport = answering(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		if failure != nil {
			return nil, failure
		}
		return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://elsewhere.example.com/"}}, Body: io.NopCloser(strings.NewReader("<xml/>")), Request: r}, nil
	})
	const login, kind = "Authorization: Basic c25zOnNlc2FtZQ==\n", "X-Amz-Sns-Message-Type: SubscriptionConfirmation\nContent-Type: text/plain; charset=UTF-8\n"
	message := func(link string) string {
		return `{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:eu-west-1:1:t","SubscribeURL":"` + link + `"}`
	}
	const good = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=t&Token=x"
	o.want(o.post("/on", kind, message(good)), 401, "")
	o.want(o.post("/on", login+kind, message(good)), 200, "confirmed")
	o.want(o.post("/on", login+kind, message("https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription")), 200, "confirmed")
	for _, link := range []string{"", "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription", "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription",
		"https://sns.eu-west-1.amazonaws.com:8443/?Action=ConfirmSubscription", "https://u@sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription", "https://evil.example/sns.eu-west-1.amazonaws.com?Action=ConfirmSubscription",
		"https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic", "https://s3.eu-west-1.amazonaws.com/?Action=ConfirmSubscription", "https://sns.x.y.amazonaws.com/?Action=ConfirmSubscription", "https://169.254.169.254/?Action=ConfirmSubscription"} {
		o.want(o.post("/on", login+kind, message(link)), 400, "not a link of Amazon SNS")
	}
	o.want(o.post("/on", login+kind, `{"Type":"Notification"}`), 400, "not of the type")
	if len(asked) != 2 || asked[0] != good {
		t.Errorf("asked for %q", asked)
	}
	for _, status = range []int{http.StatusFound, http.StatusForbidden} {
		o.want(o.post("/on", login+kind, message(good)), 503, "cannot be confirmed")
	}
	failure = errors.New("no network")
	o.want(o.post("/on", login+kind, message(good)), 503, "cannot be confirmed")
	o.want(o.post("/on", login+"X-Amz-Sns-Message-Type: Notification", `{"Type":"Notification","Message":"m"}`), 200, `{"records":1`)
	o.want(o.post("/off", login+kind, message(good)), 200, `{"records":1`)
	if got := o.values(); !slices.Equal(got, []string{`{"Type":"Notification","Message":"m"}`, message(good)}) || len(asked) != 5 {
		t.Errorf("%q is written, %d links were fetched", got, len(asked))
	}
	if used := o.memory.used(); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
}
