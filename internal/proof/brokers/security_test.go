// SPDX-License-Identifier: Apache-2.0

//go:build brokers && linux

package brokers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkacluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// allow lets a principal do something with the topic.
func (o *topic) allow(principal string, operations ...kadm.ACLOperation) {
	o.t.Helper()
	add(o.t, o.cluster, kadm.NewACLs().Allow(principal).AllowHosts("*").Topics(o.name).
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(operations...))
}

// allowGroup lets a principal use a consumer group.
func allowGroup(t *testing.T, c *kafkacluster.Cluster, principal, group string) {
	t.Helper()
	add(t, c, kadm.NewACLs().Allow(principal).AllowHosts("*").Groups(group).
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead))
}

// add makes ACLs, and waits until the broker knows them: it learns of them
// after the answer to the request that made them.
func add(t *testing.T, c *kafkacluster.Cluster, acls *kadm.ACLBuilder) {
	t.Helper()
	ctx := testContext(t)
	made, err := c.Admin().CreateACLs(ctx, acls)
	for _, one := range made {
		if err == nil {
			err = one.Err
		}
	}
	if err != nil {
		t.Fatalf("make ACLs: %v", err)
	}
	await(t, "the broker knows the ACLs", func() bool {
		all, err := c.Admin().DescribeACLs(ctx, acls)
		return err == nil && !slices.ContainsFunc(all, func(one kadm.DescribeACLsResult) bool { return one.Err != nil || len(one.Described) == 0 })
	})
}

// login makes settings use a listener.
type login struct {
	listener  kafkacluster.Listener
	mechanism string
	user      string // the certificate's for mutual TLS
	password  string // the user's own if it is empty
	noTLS     bool   // although the listener has it
	authority string // to trust; the cluster's own if it is empty
}

func (l login) apply(t *testing.T, c *kafkacluster.Cluster, k settings.Kafka) settings.Kafka {
	t.Helper()
	k.Brokers = c.Addresses(l.listener)
	if k.TLS.Enabled = !l.noTLS && (l.listener == kafkacluster.TLS || l.listener == kafkacluster.MutualTLS || l.listener == kafkacluster.SASLTLS); k.TLS.Enabled {
		if k.TLS.CA = l.authority; k.TLS.CA == "" {
			k.TLS.CA = c.Authority.PEM
		}
		if l.mechanism == "" && l.user != "" {
			own := c.Authority.IssueForTest(t, l.user)
			k.TLS.Cert, k.TLS.Key = own.Chain, own.Key
		}
	}
	if k.SASL.Mechanism = l.mechanism; l.mechanism != "" {
		if k.SASL.Username, k.SASL.Password = l.user, l.password; l.password == "" {
			k.SASL.Password = users[l.user]
		}
		if l.mechanism == "oauthbearer" {
			k.SASL.TokenURL, k.SASL.Scope = c.Tokens.URL, "kafka"
		}
	}
	return k
}

// TestLogins reads over each listener, with each way of logging in.
func TestLogins(t *testing.T) {
	t.Parallel()
	logins := map[string]login{
		"TLS":        {listener: kafkacluster.TLS},
		"mutual TLS": {listener: kafkacluster.MutualTLS, user: "reader"},
	}
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512", "oauthbearer"} {
		logins["SASL "+mechanism] = login{listener: kafkacluster.SASL, mechanism: mechanism, user: "reader"}
		logins["SASL "+mechanism+" over TLS"] = login{listener: kafkacluster.SASLTLS, mechanism: mechanism, user: "reader"}
	}
	for name, login := range logins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o := newTopic(t, c, 2, nil)
			o.allow("User:reader", kadm.OpRead)
			o.allow("User:CN=reader", kadm.OpRead)
			o.produce(client(t, c), append(numbered(0, 0, 100), numbered(1, 0, 100)...)...)
			o.finish()
			k := login.apply(t, c, readerSettings(c, o))
			r := open(t, k, nil)
			r.readTo(o.ends())
			compare(t, r.have, o.expected())
			for _, found := range newReader(t, k).Check(testContext(t), nil) {
				if !found.OK {
					t.Errorf("Check: %s", found.Text)
				}
			}
		})
	}
}

// TestLoginsRefused tries to log in with what is wrong. The source says so and
// goes on trying: the other side may be put right.
func TestLoginsRefused(t *testing.T) {
	t.Parallel()
	stranger := authority.ForTest(t, "stranger")
	for name, test := range map[string]struct {
		login login
		tells []string // both the log and Check
	}{
		"PLAIN password":     {login{listener: kafkacluster.SASLTLS, mechanism: "plain", user: "reader", password: "wrong"}, []string{"SASL Authentication"}},
		"SCRAM-256 user":     {login{listener: kafkacluster.SASL, mechanism: "scram-sha-256", user: "nobody", password: "wrong"}, []string{"SASL Authentication"}},
		"SCRAM-512 password": {login{listener: kafkacluster.SASL, mechanism: "scram-sha-512", user: "reader", password: "wrong"}, []string{"SASL Authentication"}},
		"OAuth secret":       {login{listener: kafkacluster.SASLTLS, mechanism: "oauthbearer", user: "reader", password: "wrong"}, []string{"invalid_client", "SPOUT_KAFKA_SASL_TOKEN_URL"}},
		"authority":          {login{listener: kafkacluster.TLS, authority: stranger.PEM}, []string{"TLS handshake", "unknown authority"}},
		"no certificate":     {login{listener: kafkacluster.MutualTLS}, []string{"certificate"}},
		"no TLS":             {login{listener: kafkacluster.TLS, noTLS: true}, []string{"TLS listener spoken to without TLS"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o := newTopic(t, c, 1, nil)
			k := test.login.apply(t, c, readerSettings(c, o))
			r, opened, cancel := openLater(t, k)
			line := r.logs.Await(t, append(test.tells, "cannot reach Kafka")...)
			select {
			case err := <-opened:
				t.Fatalf("it has given up: %v", err)
			default:
			}
			cancel()
			if err := <-opened; err == nil {
				t.Error("the source was opened")
			}
			found := newReader(t, k).Check(testContext(t), nil)
			wrong := found[len(found)-1]
			if wrong.OK {
				t.Fatal("Check found nothing wrong")
			}
			for _, text := range test.tells {
				if !strings.Contains(wrong.Text, text) {
					t.Errorf("Check does not tell %q: %s", text, wrong.Text)
				}
			}
			for _, password := range []string{"wrong", users["reader"]} {
				if strings.Contains(line+wrong.Text, password) {
					t.Errorf("the password is shown: %s\n%s", line, wrong.Text)
				}
			}
		})
	}
}

// TestSessionsRenewed reads with tokens that are good for seconds. Kafka ends
// connections whose token has run out.
func TestSessionsRenewed(t *testing.T) {
	t.Parallel()
	const user, tokens = "short-lived", 4
	c := single.get(t)
	c.Tokens.SetLifetime(user, 2*time.Second)
	o := newTopic(t, c, 1, nil)
	o.allow("User:"+user, kadm.OpRead)
	r := open(t, login{listener: kafkacluster.SASLTLS, mechanism: "oauthbearer", user: user}.apply(t, c, readerSettings(c, o)), nil)
	producer := client(t, c)
	await(t, "several tokens were used up", func() bool {
		o.produce(producer, numbered(0, 0, 1)...)
		r.readTo(o.ends())
		issued, _ := c.Tokens.Issued(user)
		return issued >= tokens
	})
	o.finish()
	r.readTo(o.ends())
	compare(t, r.have, o.expected())
	if _, scope := c.Tokens.Issued(user); scope != "kafka" {
		t.Errorf("the scope asked for is %q", scope)
	}
}

// openLater opens a reader in the background.
func openLater(t *testing.T, k settings.Kafka) (r *reader, opened <-chan error, cancel func()) {
	t.Helper()
	r = newReader(t, k)
	ctx, cancel := context.WithCancel(testContext(t))
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- r.Open(ctx, json.RawMessage(nil)) }()
	return r, done, cancel
}

// TestAccessDenied reads with a user that lacks a right, which the source
// tells, and goes on once the right is given.
func TestAccessDenied(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		has   []kadm.ACLOperation
		tells []string
	}{
		"Describe": {nil, []string{"[ERROR]", "TOPIC_AUTHORIZATION_FAILED"}},
		"Read":     {[]kadm.ACLOperation{kadm.OpDescribe}, []string{"[ERROR]", "TOPIC_AUTHORIZATION_FAILED"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := single.get(t)
			o := newTopic(t, c, 1, nil)
			o.produce(client(t, c), numbered(0, 0, 100)...)
			o.finish()
			if len(test.has) > 0 {
				o.allow("User:reader", test.has...)
			}
			k := login{listener: kafkacluster.SASL, mechanism: "scram-sha-512", user: "reader"}.apply(t, c, readerSettings(c, o))
			r, opened, _ := openLater(t, k)
			if len(test.has) > 0 {
				if err := <-opened; err != nil { // offsets may be asked for
					t.Fatal(err)
				}
			}
			r.logs.Await(t, append(test.tells, o.name)...)
			o.allow("User:reader", kadm.OpRead)
			if len(test.has) == 0 {
				if err := <-opened; err != nil {
					t.Fatal(err)
				}
			}
			r.readTo(o.ends())
			compare(t, r.have, o.expected())
		})
	}
}
