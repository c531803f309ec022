// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// jetStream is a server of NATS with one stream, "hostile", that answers as it
// should, but for what it is told.
type jetStream struct {
	retention string                                           // "" for limits
	greeting  func(conn net.Conn)                              // in place of INFO
	refusal   func(connect string) string                      // in place of what follows CONNECT; nil to let the user in
	info      string                                           // more members of what it says of the stream
	consumer  string                                           // and of a consumer
	deliver   func(to *natsConn, inbox, sid string)            // after the first request for messages
	instead   map[string]func(to *natsConn, reply, sid string) // of an answer, by a part of the request's subject
	records   int64                                            // that must be ingested
	deaf      bool                                             // it reads no more once it delivers
}

// natsConn is a connection that several write to.
type natsConn struct {
	net.Conn
	mu   sync.Mutex
	subs map[string]string // ids by prefix of the subject
}

func (c *natsConn) say(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintf(c, format, args...)
	return err
}

// sid is the id of the subscription that a subject goes to.
func (c *natsConn) sid(subject string) string {
	for prefix, id := range c.subs {
		if strings.HasPrefix(subject, prefix) {
			return id
		}
	}
	return "1"
}

func (c *natsConn) message(subject, sid, reply, body string) error {
	return c.say("MSG %s %s %s %d\r\n%s\r\n", subject, sid, reply, len(body), body)
}

const natsTime = "2024-01-01T00:00:00Z"

func (j *jetStream) serve(raw net.Conn) {
	c := &natsConn{Conn: raw, subs: map[string]string{}}
	if j.greeting != nil {
		j.greeting(raw)
		return
	}
	_ = c.say(`INFO {"server_id":"S","server_name":"s","version":"2.11.0","proto":1,"headers":true,"jetstream":true,"max_payload":67108864}` + "\r\n") // reading tells
	in := bufio.NewReader(c)
	delivers := false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "CONNECT" && j.refusal != nil:
			_ = c.say("%s\r\n", j.refusal(line))
			time.Sleep(100 * time.Millisecond)
			return
		case words[0] == "PING":
			_ = c.say("PONG\r\n")
		case words[0] == "SUB":
			c.subs[strings.TrimSuffix(words[1], "*")] = words[len(words)-1]
		case words[0] == "PUB" || words[0] == "HPUB":
			var size int
			_, _ = fmt.Sscan(words[len(words)-1], &size)
			if _, err := io.CopyN(io.Discard, in, int64(size+2)); err != nil {
				return
			}
			if len(words) < 4 {
				continue // an acknowledgement
			}
			subject, reply := words[1], words[2]
			if strings.Contains(subject, ".MSG.NEXT.") && j.deliver != nil {
				if !delivers {
					delivers = true
					inbox := reply[:strings.LastIndex(reply, ".")]
					go j.deliver(c, inbox, c.sid(reply))
					if j.deaf {
						time.Sleep(time.Minute)
						return
					}
				}
				continue
			}
			j.answer(c, subject, reply)
		}
	}
}

func (j *jetStream) answer(c *natsConn, subject, reply string) {
	sid := c.sid(reply)
	for part, do := range j.instead {
		if strings.Contains(subject, part) {
			do(c, reply, sid)
			return
		}
	}
	retention := j.retention
	if retention == "" {
		retention = "limits"
	}
	switch {
	case strings.Contains(subject, "STREAM.INFO"):
		_ = c.message(reply, sid, "", fmt.Sprintf(`{"config":{"name":"hostile","subjects":["h.>"],"retention":%q,"storage":"file","discard":"old","num_replicas":1},"created":%q,"state":{"messages":100000,"bytes":1,"first_seq":1,"last_seq":100000000,"first_ts":%[2]q,"last_ts":%[2]q}%s}`,
			retention, natsTime, j.info))
	case strings.Contains(subject, "CONSUMER.CREATE") || strings.Contains(subject, "CONSUMER.DURABLE"):
		_ = c.message(reply, sid, "", fmt.Sprintf(`{"stream_name":"hostile","name":%q,"created":%q,"config":{"ack_policy":"none","deliver_policy":"all","replay_policy":"instant"},"num_pending":1000%s}`,
			subject[strings.LastIndex(subject, ".")+1:], natsTime, j.consumer))
	case strings.Contains(subject, "CONSUMER.INFO"):
		_ = c.message(reply, sid, "", `{"error":{"code":404,"err_code":10014,"description":"consumer not found"}}`)
	default:
		_ = c.message(reply, sid, "", `{"success":true}`)
	}
}

// hostileNATS are by what they do; the largest message has so many bytes.
func hostileNATS(largest int) map[string]*jetStream {
	long := strings.Repeat("x", 60_000)
	reply := func(consumer string, sequence, delivered uint64) string {
		return fmt.Sprintf("$JS.ACK.hostile.%s.1.%d.%d.1700000000000000000.5", consumer, sequence, delivered)
	}
	send := func(n int, body string, of func(i uint64) (sequence uint64, consumer string)) func(*natsConn, string, string) {
		return func(to *natsConn, inbox, sid string) {
			for i := range uint64(n) {
				sequence, consumer := of(i)
				if to.message(inbox+".1", sid, reply(consumer, sequence, i+1), body) != nil {
					return
				}
			}
		}
	}
	explosion := func(member, element string) string {
		return fmt.Sprintf(`,%q:[%s%s]`, member, strings.Repeat(element+",", (largest-10_000)/(len(element)+1)), element)
	}
	return map[string]*jetStream{
		"nothing bad":             {records: 1000, deliver: send(1000, "hello", func(i uint64) (uint64, string) { return i + 1, "c" })},
		"nothing bad, work queue": {retention: "workqueue", records: 500, deliver: send(1000, "hello", func(i uint64) (uint64, string) { return i + 1, "c" })},
		"messages of a work queue that come again, and nobody reads": {retention: "workqueue", deaf: true, deliver: func(to *natsConn, inbox, sid string) {
			send(1_000_000, "x", func(i uint64) (uint64, string) {
				if i == 0 {
					return 1000, "c"
				}
				return 1, long
			})(to, inbox, sid)
		}},
		"long replies of a work queue":                    {retention: "workqueue", deliver: send(100_000, "x", func(i uint64) (uint64, string) { return i + 1, long })},
		"sources of a stream":                             {info: explosion("sources", "{}")},
		"alternates of a stream":                          {info: explosion("alternates", "{}")},
		"replicas of a consumer":                          {consumer: `,"cluster":{"x":1` + explosion("replicas", "{}") + `}`},
		"a description of a consumer that is another one": {consumer: `,"priority_groups":[` + strings.Repeat(`{},`, largest/3-10_000) + `{}]`},
		"metadata of a stream": {instead: map[string]func(*natsConn, string, string){"STREAM.INFO": func(to *natsConn, r, sid string) {
			_ = to.message(r, sid, "", `{"config":{"name":"hostile","sources":[`+strings.Repeat("{},", (largest-10_000)/3)+`{}]}}`)
		}}},
		"subjects of a stream": {instead: map[string]func(*natsConn, string, string){"STREAM.INFO": func(to *natsConn, r, sid string) {
			_ = to.message(r, sid, "", `{"config":{"name":"hostile","subjects":[`+strings.Repeat(`"",`, (largest-10_000)/3)+`""]}}`)
		}}},
		"a message of a claimed length": {instead: map[string]func(*natsConn, string, string){"STREAM.INFO": func(to *natsConn, _, _ string) {
			_ = to.say("MSG a 1 99999999999999\r\nxx")
		}}},
		"arguments without end": {instead: map[string]func(*natsConn, string, string){"STREAM.INFO": func(to *natsConn, _, _ string) {
			pour(to, []byte("MSG "+strings.Repeat("x", 1<<20)), 1000)
		}}},
		// No more than fit: a server that sends more than it was asked for is left, and this one begins but once.
		"messages without end":   {deliver: send(100_000, strings.Repeat("x", 1<<20), func(i uint64) (uint64, string) { return i + 1, "c" }), records: 15},
		"a last sequence":        {deliver: send(1, "hi", func(uint64) (uint64, string) { return 1<<63 - 1, "c" })},
		"a greeting without end": {greeting: func(conn net.Conn) { pour(conn, []byte("INFO "+strings.Repeat("x", 1<<20)), 3000) }},
		"a password that is repeated": {refusal: func(connect string) string {
			return "-ERR 'no: " + strings.ReplaceAll(strings.TrimSpace(connect), "'", "") + "'"
		}},
		"errors of 60,000 bytes": {refusal: func(string) string { return "-ERR '" + long + "'" }},
	}
}

// TestHostileNATS: whatever a server of NATS says.
func TestHostileNATS(t *testing.T) {
	alone(t)
	for _, budget := range []settings.Bytes{64 << 20, 256 << 20} {
		for name, j := range hostileNATS(int(budget) / 4) {
			t.Run(fmt.Sprintf("%s, %s", name, budget), func(t *testing.T) {
				s := settings.Default()
				s.Source, s.File.Format, s.MemoryBudget, s.Record.OnRefused = "nats", "jsonl", budget, "dead_letter"
				s.NATS.Servers, s.NATS.Stream, s.NATS.AllowCleartext = []string{served(t, j.serve)}, "hostile", true
				if j.retention != "" {
					s.NATS.Retention, s.NATS.Consumer = j.retention, "spout"
				}
				all, p := against(t, s, within(j.records), enough(j.records), "SPOUT_NATS_USERNAME=u", "SPOUT_NATS_PASSWORD="+secretText)
				if all.Written < j.records {
					t.Errorf("there are only %d records", all.Written)
				}
				p.discreet(t)
			})
		}
	}
}
