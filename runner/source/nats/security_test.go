// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/authority"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/natstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

const secret = "a-Secret-that-nobody-may-see"

// wantMissing checks that a check finds something.
func wantMissing(t testing.TB, s *Source, position []byte, texts ...string) {
	t.Helper()
	var all []string
	for _, f := range s.Check(within(t), position) {
		if !f.OK {
			all = append(all, f.Text)
		}
	}
	for _, text := range texts {
		if !strings.Contains(strings.Join(all, "\n"), text) {
			t.Errorf("the check finds\n%s\nand not %q", strings.Join(all, "\n"), text)
		}
	}
	if len(texts) == 0 && len(all) > 0 {
		t.Errorf("the check finds\n%s", strings.Join(all, "\n"))
	}
	if strings.Contains(strings.Join(all, "\n"), secret) {
		t.Error("the check says the secret")
	}
}

// Each way to log in works, with and without TLS, and with another secret there
// is a complaint that does not say it.
func TestLogins(t *testing.T) {
	t.Parallel()
	certificate, trusted := authority.Localhost(t)
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := user.PublicKey() //nolint:errcheck // it has one
	seed, _ := user.Seed()        //nolint:errcheck // as before
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	otherSeed, _ := other.Seed() //nolint:errcheck // as before
	for name, test := range map[string]struct {
		server func(*server.Options)
		right  func(*settings.NATS)
		wrong  func(*settings.NATS)
	}{
		"password": {
			func(o *server.Options) { o.Username, o.Password = "me", secret },
			func(c *settings.NATS) { c.Login.Username, c.Login.Password = "me", secret },
			func(c *settings.NATS) { c.Login.Password = secret + "-wrong" },
		},
		"token": {
			func(o *server.Options) { o.Authorization = secret },
			func(c *settings.NATS) { c.Token.Token = secret },
			func(c *settings.NATS) { c.Token.Token = secret + "-wrong" },
		},
		"nkey": {
			func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} },
			func(c *settings.NATS) { c.NKey.Seed = string(seed) },
			func(c *settings.NATS) { c.NKey.Seed = string(otherSeed) },
		},
	} {
		for _, withTLS := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " TLS"}[withTLS], func(t *testing.T) {
				t.Parallel()
				s := natstest.Start(t, test.server, func(o *server.Options) {
					if withTLS {
						o.TLSConfig, o.TLSTimeout = &tls.Config{Certificates: []tls.Certificate{certificate}}, 10
					}
				})
				config := settings.Default()
				config.NATS.Servers, config.NATS.Stream = []string{s.Address()}, testStream
				c := config.NATS
				test.right(&c)
				if withTLS {
					c.TLS.Enabled, c.TLS.CA = true, string(trusted)
				}
				source, _ := newTestSource(t, c)
				source.running = t.Context()
				if err := source.connect(); err != nil {
					t.Fatal(err)
				}
				js, err := jetstream.New(source.conn)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: testStream, Subjects: []string{"orders.>"}}); err != nil {
					t.Fatal(err)
				}
				if _, err := js.Publish(t.Context(), "orders.eu", []byte("x")); err != nil {
					t.Fatal(err)
				}
				opened, _ := open(t, c, nil)
				offsets, _ := read(t, opened, 1)
				wantOffsets(t, offsets, 1, 1)
				checked, _ := newTestSource(t, c)
				wantMissing(t, checked, nil)

				refuses(t, c, test.wrong, "see whether the secret has what this user logs in with")
				if withTLS {
					refuses(t, c, func(c *settings.NATS) { c.TLS.CA = "" }, "see whether the server's certificate names it")
				} else {
					refuses(t, c, func(c *settings.NATS) { c.TLS.Enabled = true }, "the server has no TLS")
				}
			})
		}
	}
}

func refuses(t *testing.T, c settings.NATS, change func(*settings.NATS), fix string) {
	t.Helper()
	change(&c)
	s, log := newTestSource(t, c)
	opened := make(chan error, 1)
	go func() { opened <- s.Open(within(t), nil) }()
	log.Await(t, "[ERROR] cannot read the stream", fix)
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log says the secret:\n%s", log)
	}
	checked, _ := newTestSource(t, c)
	wantMissing(t, checked, nil, fix)
	s.cancel()
	if err := <-opened; err == nil {
		t.Error("it was opened")
	}
}

// A user of an account with JWTs, from a secret and from a file that is read
// again.
func TestUserCredentials(t *testing.T) {
	t.Parallel()
	operator, _ := nkeys.CreateOperator() //nolint:errcheck // a random key
	account, _ := nkeys.CreateAccount()   //nolint:errcheck // as before
	user, _ := nkeys.CreateUser()         //nolint:errcheck // as before
	public := func(k nkeys.KeyPair) string {
		key, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	accountClaims := jwt.NewAccountClaims(public(account))
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountJWT, err := accountClaims.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	userJWT, err := jwt.NewUserClaims(public(user)).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, _ := user.Seed() //nolint:errcheck // it has one
	creds, err := jwt.FormatUserConfig(userJWT, seed)
	if err != nil {
		t.Fatal(err)
	}
	system, _ := nkeys.CreateAccount() //nolint:errcheck // a random key
	systemJWT, err := jwt.NewAccountClaims(public(system)).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	operatorClaims := jwt.NewOperatorClaims(public(operator))
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(public(system), systemJWT); err != nil {
		t.Fatal(err)
	}
	if err := resolver.Store(public(account), accountJWT); err != nil {
		t.Fatal(err)
	}
	s := natstest.Start(t, func(o *server.Options) {
		o.TrustedOperators, o.AccountResolver, o.SystemAccount = []*jwt.OperatorClaims{operatorClaims}, resolver, public(system)
	})
	file := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	_, js := s.Connect(t, client.UserCredentials(file))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: testStream, Subjects: []string{"orders.>"}}); err != nil {
		t.Fatal(err)
	}
	config := settings.Default().NATS
	config.Servers, config.Stream = []string{s.Address()}, testStream
	byFile, bySecret := config, config
	byFile.UserFile, bySecret.User.Creds = file, string(creds)
	for i, c := range []settings.NATS{byFile, bySecret} {
		if _, err := js.Publish(t.Context(), "orders.eu", []byte("x")); err != nil {
			t.Fatal(err)
		}
		source, _ := open(t, c, nil)
		offsets, _ := read(t, source, i+1)
		wantOffsets(t, offsets, 1, int64(i+1))
	}
	bySecret.User.Creds = secret
	bad, _ := newTestSource(t, bySecret)
	err = bad.Open(within(t), nil)
	wantStop(t, err, "SPOUT_NATS_USER_CREDENTIALS is not a credentials file")
	if strings.Contains(err.Error(), secret) {
		t.Error("the error says the secret")
	}
}

// A check names each right that is missing, and changes nothing.
func TestRights(t *testing.T) {
	t.Parallel()
	deny := &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.CREATE.>", "$JS.ACK.>"}}
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: secret},
			{Username: "me", Password: secret, Permissions: &server.Permissions{Publish: deny, Subscribe: &server.SubjectPermission{Deny: []string{"_INBOX.>"}}}},
			{Username: "you", Password: secret, Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_you.>"}},
				Publish: &server.SubjectPermission{Allow: []string{"$JS.API.STREAM.INFO.ORDERS", "$JS.API.CONSUMER.*.ORDERS.>", "$JS.API.CONSUMER.MSG.NEXT.ORDERS.>", "$JS.ACK.ORDERS.>"}}}},
		}
	})
	_, js := s.Connect(t, client.UserInfo("admin", secret))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: testStream, Subjects: []string{"orders.>"}, Retention: jetstream.WorkQueuePolicy}); err != nil {
		t.Fatal(err)
	}
	c := settings.Default().NATS
	c.Servers, c.Stream, c.Retention, c.Consumer = []string{s.Address()}, testStream, settings.NATSWorkQueue, "spout"
	c.Login.Username, c.Login.Password = "me", secret
	checked, _ := newTestSource(t, c)
	checked.times.request = time.Second // without an inbox nothing is answered
	wantMissing(t, checked, nil, "may not publish to $JS.API.CONSUMER.CREATE.ORDERS.spout-a", "may not publish to $JS.ACK.ORDERS.spout-a", "may not subscribe below _INBOX")

	// What the guide lists is enough.
	c.Login.Username, c.InboxPrefix = "you", "_INBOX_you"
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, nil)
	if _, err := js.Publish(t.Context(), "orders.eu", []byte("x")); err != nil {
		t.Fatal(err)
	}
	source, _ := open(t, c, nil)
	read(t, source, 1)
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, source.Position())
	source.Acknowledge(t.Context(), source.Position())
	await(t, "acknowledged", func() bool {
		stream, err := js.Stream(t.Context(), testStream)
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
	l := &lab{t: t, js: js}
	if n := l.consumers(); len(n) != 1 {
		t.Errorf("consumers %v", n)
	}
}

// What a check says of a stream that is missing, full or gone on.
func TestCheck(t *testing.T) {
	t.Parallel()
	l := newLab(t, jetstream.StreamConfig{MaxConsumers: 1})
	c := l.config()
	checked, _ := newTestSource(t, c)
	wantMissing(t, checked, nil)
	c.Subjects = []string{"payments.>"}
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, nil, "the stream ORDERS takes orders.>, and SPOUT_NATS_SUBJECTS has payments.>")
	c.Subjects, c.Stream = nil, "OTHER"
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, nil, "the stream OTHER cannot be asked for", "create the stream")
	c = l.config()
	l.produce(3)
	s, _ := open(t, c, nil)
	read(t, s, 3)
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, s.Position(), "has 1 of 1 consumers")
	ahead := strings.Replace(string(s.Position()), `"next":4`, `"next":9`, 1)
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, []byte(ahead), "ends at sequence 3, and was read up to 8")
	small, _ := newTestSource(t, c)
	small.most = 100 << 10
	wantMissing(t, small, nil, "messages may have 1MiB, and 100KiB of memory are for them; raise SPOUT_MEMORY_BUDGET to at least 4MiB")

	// Without JetStream nobody answers.
	plain := natstest.Start(t, func(o *server.Options) { o.JetStream = false })
	c.Servers = []string{plain.Address()}
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, nil, "enable JetStream at the servers")
	c.Servers = []string{"127.0.0.1:1"}
	checked, _ = newTestSource(t, c)
	wantMissing(t, checked, nil, "no server can be reached at 127.0.0.1:1")
}
