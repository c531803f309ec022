// SPDX-License-Identifier: Apache-2.0

//go:build readers && linux

package readers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/natstest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rabbitmqcluster"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/nats"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/webhook"
)

// message is what readers should find of a message: its coordinates by name
// beside these.
type message struct {
	key, value  string
	headers     [][2]string
	coordinates object
}

// payloads are bodies as systems send them: JSON, text, bytes, and nothing.
// Readers of JSON want objects beside objects.
var payloads = []string{`{"id":1,"name":"é😀"}`, "text\nof two lines", "\xff\x00\xfe", "", "\r\n", "{\n\"id\": 2}", "null", `{"id":3,"name":null,"more":[1,2]}`}

// inEachFormat reads what a source has in each format. Start makes the settings,
// which may differ for each.
func inEachFormat(t *testing.T, stream string, start func(t *testing.T) settings.Settings, driver func(settings.Settings, source.Options) (source.Source, error), begin func(p *spout), want []message) {
	t.Helper()
	for _, format := range []string{"parquet none", "parquet zstd", "avro gzip", "jsonl none"} {
		kind, compression, _ := strings.Cut(format, " ")
		s := start(t)
		s.File.Format, s.File.Compression = kind, compression
		p := startSpout(t, s, driver)
		if begin != nil {
			begin(p)
		}
		p.await(int64(len(want)))
		at := 0
		for _, file := range p.files(stream) {
			var first, last int
			if _, err := fmt.Sscanf(filepath.Base(file), "%03d-%020d-%020d", new(int), &first, &last); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			c := testCase{Name: fmt.Sprintf("%s/%s/%d", stream, strings.ReplaceAll(format, " ", "-"), first), Format: kind, Path: file}
			if kind == "parquet" {
				c.Not = []string{"fastparquet"}
			}
			for range last - first + 1 {
				c.Rows = append(c.Rows, want[at].as(kind))
				at++
			}
			read(t, c)
		}
		if at != len(want) {
			t.Errorf("%s: the files have %d of %d records", format, at, len(want))
		}
		p.stop()
	}
}

// as is the message as a row of a format.
func (m message) as(kind string) object {
	out := object{"timestamp": object{"$present": true}}
	for name, value := range m.coordinates {
		out[name] = value
	}
	if kind == "jsonl" {
		if m.key != "" {
			out["key"] = m.key
		}
		var headers []any
		for _, h := range m.headers {
			headers = append(headers, object{"key": h[0], "value": h[1]})
		}
		if len(headers) > 0 {
			out["headers"] = headers
		}
		var value map[string]any
		if err := json.Unmarshal([]byte(m.value), &value); err == nil && value != nil {
			out["value"] = value
		} else {
			out["value_base64"] = object{"$base64": []byte(m.value)}
		}
		for name, value := range m.coordinates {
			if value == nil {
				delete(out, name)
			}
		}
		return out
	}
	out["key"], out["value"] = nil, object{"$bytes": []byte(m.value)}
	if m.key != "" {
		out["key"] = object{"$bytes": []byte(m.key)}
	}
	headers := []any{}
	for _, h := range m.headers {
		headers = append(headers, object{"key": h[0], "value": object{"$bytes": []byte(h[1])}})
	}
	out["headers"] = headers
	return out
}

// TestNATS: messages of a stream of JetStream.
func TestNATS(t *testing.T) {
	server := natstest.Start(t)
	_, js := server.Connect(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"e.>"}}); err != nil {
		t.Fatal(err)
	}
	var want []message
	for i, payload := range payloads {
		m := message{key: fmt.Sprint("e.", i), value: payload, coordinates: object{"stream": "EVENTS", "sequence": i + 1}}
		sent := &client.Msg{Subject: m.key, Data: []byte(payload)}
		if i%2 == 0 {
			sent.Header = client.Header{"B": {"2", "1"}, "a": {"é"}}
			m.headers = [][2]string{{"B", "2"}, {"B", "1"}, {"a", "é"}}
		}
		if _, err := js.PublishMsg(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
		want = append(want, m)
	}
	inEachFormat(t, "EVENTS", func(*testing.T) settings.Settings {
		s := settings.Default()
		s.Source, s.NATS.Servers, s.NATS.Stream = "nats", []string{server.Address()}, "EVENTS"
		return s
	}, nats.Make, nil, want)
}

// TestWebhook: requests with ids.
func TestWebhook(t *testing.T) {
	address := ""
	var want []message
	for i, payload := range payloads {
		m := message{value: payload, headers: [][2]string{{"content-type", "application/json"}}, coordinates: object{"endpoint": "events", "ordinal": i, "id": fmt.Sprint("id-", i)}, key: fmt.Sprint("id-", i)}
		want = append(want, m)
	}
	inEachFormat(t, "events", func(t *testing.T) settings.Settings {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		s := settings.Default()
		s.Source, s.Webhook.Address, s.Webhook.Port = "webhook", "127.0.0.1", l.Addr().(*net.TCPAddr).Port
		s.Webhook.AckTimeout = settings.Duration(30 * time.Second)
		if err := errors.Join(l.Close(), s.Webhook.Endpoints.UnmarshalText([]byte(`{"events":{"auth":"none","allow_unauthenticated":true,"id":"header:X-Id"}}`))); err != nil {
			t.Fatal(err)
		}
		return s
	}, webhook.Make, func(p *spout) {
		for _, m := range want {
			send(p.t, address, m)
		}
	}, want)
}

// send sends a request until it is answered with 200, as senders do.
func send(t *testing.T, address string, m message) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/events", strings.NewReader(m.value))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Id", m.key)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close() //nolint:errcheck // only its status matters
			if resp.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(resp.Status)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestRabbitMQ: messages of a queue and of a stream.
func TestRabbitMQ(t *testing.T) {
	node, err := rabbitmqcluster.Start(context.Background(), rabbitmqcluster.Options{})
	if errors.Is(err, rabbitmqcluster.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Stop)
	configure := func() settings.Settings {
		s := settings.Default()
		s.Source, s.RabbitMQ.Username, s.RabbitMQ.Password = "rabbitmq", rabbitmqcluster.User, rabbitmqcluster.Password
		return s
	}
	var ofQueue, ofStream []message
	for i, payload := range payloads {
		m := message{key: "q", value: payload, coordinates: object{"queue": "q", "ordinal": i, "message_id": nil}}
		if i%2 == 0 {
			m.coordinates["message_id"] = fmt.Sprint("m-", i)
			m.headers = [][2]string{{"rabbitmq.content_type", "application/json"}, {"rabbitmq.message_id", fmt.Sprint("m-", i)}, {"n", "7"}, {"table", `{"a":[1]}`}}
		}
		ofQueue = append(ofQueue, m)
		ofStream = append(ofStream, message{value: payload, coordinates: object{"stream": "s", "offset": i}})
	}
	t.Run("queue", func(t *testing.T) {
		inEachFormat(t, "q", func(t *testing.T) settings.Settings {
			if err := node.Queue("quorum", "q", nil); err != nil {
				t.Fatal(err)
			}
			publish(t, node, ofQueue)
			s := configure()
			s.RabbitMQ.Addresses, s.RabbitMQ.Queues = []string{node.AMQP()}, []string{"q"}
			return s
		}, rabbitmq.Make, nil, ofQueue)
	})
	t.Run("stream", func(t *testing.T) {
		if err := node.Queue("stream", "s", nil); err != nil {
			t.Fatal(err)
		}
		p, err := node.AwaitPublisher(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, payload := range payloads {
			if err := p.Publish(rabbitmqcluster.Message([]byte(payload))); err != nil {
				t.Fatal(err)
			}
		}
		inEachFormat(t, "s", func(*testing.T) settings.Settings {
			s := configure()
			s.RabbitMQ.Addresses, s.RabbitMQ.Streams = []string{node.Stream()}, []string{"s"}
			return s
		}, rabbitmq.Make, nil, ofStream)
	})
}

func publish(t *testing.T, node *rabbitmqcluster.Node, messages []message) {
	t.Helper()
	conn, err := node.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // all is confirmed
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		sent := amqp.Publishing{Body: []byte(m.value)}
		if id, ok := m.coordinates["message_id"].(string); ok {
			sent.MessageId, sent.ContentType, sent.Headers = id, "application/json", amqp.Table{"n": int32(7), "table": amqp.Table{"a": []any{int64(1)}}}
		}
		confirmation, err := channel.PublishWithDeferredConfirmWithContext(t.Context(), "", "q", true, false, sent)
		if err != nil || !confirmation.Wait() {
			t.Fatalf("refused: %v", err)
		}
	}
}
