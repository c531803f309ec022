// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/kafkatest"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
	positions "github.com/spoutworks/terraform-provider-pachyderm/internal/position/kafka"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/kafka/wire"
)

// versionsOf is an answer to ApiVersions that offers all requests.
func versionsOf(errorCode int16, claim uint32) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(errorCode))
	if claim > 0 {
		return binary.BigEndian.AppendUint32(body, claim)
	}
	body = binary.BigEndian.AppendUint32(body, uint32(len(newestKnown)))
	for key, newest := range newestKnown {
		body = binary.BigEndian.AppendUint16(body, uint16(key))
		body = binary.BigEndian.AppendUint16(body, 0)
		body = binary.BigEndian.AppendUint16(body, uint16(newest))
	}
	return body
}

// impostors are what may be at a broker's address: how each answers, and what
// is said of it.
var impostors = map[string]struct {
	answer func(to net.Conn, r kafkatest.Request)
	says   string
}{
	"versions of a gigabyte": {func(to net.Conn, r kafkatest.Request) {
		kafkatest.Answer(to, r.Correlation, 1<<30-4, nil)
	}, "an answer of 1073741824 bytes to ApiVersions is more than the 65536 that are accepted"},
	"versions that count a key per byte": {func(to net.Conn, r kafkatest.Request) {
		kafkatest.Answer(to, r.Correlation, 60<<10, versionsOf(0, 60<<10-6))
	}, "ends before it should"},
	"a login of a gigabyte": {func(to net.Conn, r kafkatest.Request) {
		if r.Key == kmsg.ApiVersions.Int16() {
			body := versionsOf(0, 0)
			kafkatest.Answer(to, r.Correlation, len(body), body)
			return
		}
		kafkatest.Answer(to, r.Correlation, 1<<30-4, nil)
	}, "an answer of 1073741824 bytes to SASLHandshake is more than the 65536 that are accepted"},
	"SCRAM for hours": {func(to net.Conn, r kafkatest.Request) {
		body := versionsOf(0, 0)
		switch r.Key {
		case kmsg.SASLHandshake.Int16():
			body = make([]byte, 6)
		case kmsg.SASLAuthenticate.Int16():
			_, nonce, _ := bytes.Cut(r.Rest, []byte(",r="))
			nonce, _, _ = bytes.Cut(nonce, []byte{0})
			challenge := "r=" + string(nonce) + "1,s=c2FsdA==,i=2147483647"
			body = append([]byte{0, 0, 0, 0, byte(len(challenge) + 1)}, challenge...)
			body = append(append(body, make([]byte, 8)...), 0)
		}
		kafkatest.Answer(to, r.Correlation, len(body), body)
	}, "2147483647 iterations of SCRAM, more than the 100000 that are accepted"},
}

// TestImpostors logs in at what is no broker.
func TestImpostors(t *testing.T) {
	t.Parallel()
	for name, test := range impostors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if rsstest.Child(t) {
				s := hostileSource(t, func(k *settings.Kafka) {
					k.SASL.Mechanism, k.SASL.Username, k.SASL.Password = "scram-sha-512", "user", "password"
				})
				if _, err := s.dialer.open(t.Context(), os.Getenv("HOSTILE")); err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("the error is %.500v, want %q", err, test.says)
				}
				return
			}
			rsstest.Run(t, hostileLimits, "HOSTILE="+startImpostor(t, test.answer))
		})
	}
}

func startImpostor(t *testing.T, answer func(to net.Conn, r kafkatest.Request)) string {
	t.Helper()
	i, err := kafkatest.StartImpostor(answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Stop() })
	return i.Address()
}

// metadataAnswers are answers to Metadata of up to 8 MiB, version 12, that a
// broker gives after the login.
var metadataAnswers = map[string]struct {
	body func() []byte
	says string
}{
	"more than 8 MiB": {func() []byte { return make([]byte, 9<<20) }, "more than the 8388608 that are accepted"},
	"a broker per byte": {func() []byte {
		return append(binary.AppendUvarint(make([]byte, 4), 700_000), make([]byte, 8<<20-99)...)
	}, "more than 256 brokers"},
	"a tag for every two bytes": {func() []byte {
		body := append(make([]byte, 4), 1, 0, 0, 0, 0, 0, 1) // no brokers, no id, no topics
		body = binary.AppendUvarint(body, 4<<20-16)
		for i := range 4<<20 - 16 {
			body = append(body, byte(i)&0x7f, 0)
		}
		return body
	}, "the metadata name no broker"},
	"partitions without end": {func() []byte {
		m := hostileMetadata()
		for i := range int32(300_000) {
			m.Topics[0].Partitions = append(m.Topics[0].Partitions, kmsg.MetadataResponseTopicPartition{Partition: i % 90_000})
		}
		return m.AppendTo(nil)
	}, "more than the 16384 that are accepted"},
	"a partition that no topic has": {func() []byte {
		m := hostileMetadata()
		m.Topics[0].Partitions = append(m.Topics[0].Partitions, kmsg.MetadataResponseTopicPartition{Partition: -1})
		return m.AppendTo(nil)
	}, "partition -1 of topic t, which no topic has"},
	"a cluster with a long name": {func() []byte {
		m := hostileMetadata()
		m.ClusterID = kmsg.StringPtr(strings.Repeat("x", 1<<20))
		return m.AppendTo(nil)
	}, "a cluster id of 1048576 bytes"},
	"a host with a long name": {func() []byte {
		m := hostileMetadata()
		m.Brokers[0].Host = strings.Repeat("x", 1<<20)
		return m.AppendTo(nil)
	}, "which is not an address"},
	"brokers without end": {func() []byte {
		m := hostileMetadata()
		for i := range int32(100_000) {
			m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: i, Host: "h", Port: 1})
		}
		return m.AppendTo(nil)
	}, "more than 256 brokers"},
}

func hostileMetadata() *kmsg.MetadataResponse {
	m := &kmsg.MetadataResponse{Version: 12, ClusterID: kmsg.StringPtr("c")}
	m.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "localhost", Port: 9092}}
	m.Topics = []kmsg.MetadataResponseTopic{{Topic: kmsg.StringPtr("t")}}
	return m
}

// TestHostileMetadata asks a broker for metadata that are too much, or no
// cluster's.
func TestHostileMetadata(t *testing.T) {
	t.Parallel()
	for name, test := range metadataAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if rsstest.Child(t) {
				s := hostileSource(t, nil)
				if err := s.refreshMetadata(t.Context()); err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("the error is %.500v, want %q", err, test.says)
				}
				if used, _ := s.memory.usage(); used != 0 {
					t.Errorf("%d bytes are held", used)
				}
				return
			}
			body := append([]byte{0}, test.body()...) // no tags in the head
			rsstest.Run(t, hostileLimits, "HOSTILE="+startImpostor(t, func(to net.Conn, r kafkatest.Request) {
				if r.Key == kmsg.ApiVersions.Int16() {
					versions := versionsOf(0, 0)
					kafkatest.Answer(to, r.Correlation, len(versions), versions)
					return
				}
				kafkatest.Answer(to, r.Correlation, len(body), body)
			}))
		})
	}
}

// TestNoDialOutlivesItsDeadline dials what takes its time, byte by byte and
// behind a token that does not come.
func TestNoDialOutlivesItsDeadline(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"scram-sha-256", "oauthbearer"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			k := config(c, "t")
			k.SASL.Mechanism, k.SASL.Username, k.SASL.Password, k.SASL.TokenURL = mechanism, "user", "password", "http://127.0.0.1:1/"
			asked := make(chan struct{})
			address := startImpostor(t, func(to net.Conn, r kafkatest.Request) {
				if r.Key == kmsg.ApiVersions.Int16() || r.Key == kmsg.SASLHandshake.Int16() && mechanism == "oauthbearer" {
					body := versionsOf(0, 0)
					if r.Key == kmsg.SASLHandshake.Int16() {
						body = make([]byte, 6)
						close(asked)
					}
					kafkatest.Answer(to, r.Correlation, len(body), body)
					return
				}
				_, _ = to.Write([]byte{0, 0, 1, 0, 1}) // and no more
				close(asked)
			})
			s, _ := newTestSource(t, k)
			if o, ok := s.dialer.mechanism.(*oauth); ok {
				o.turn <- struct{}{} // another connection waits for the token
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := s.dialer.open(ctx, address)
				done <- err
			}()
			<-asked
			cancel()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "canceled") {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Fatal("it outlives its deadline")
			}
		})
	}
}

// TestAnswersAreReadAsTheLibraryDoes compares what is read of each answer, in
// each version, with the library's own reader.
func TestAnswersAreReadAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	id := [16]byte{1, 2, 3}
	for _, test := range []struct {
		from, to int16
		make     func(version int16) kmsg.Response
	}{
		{0, 0, func(v int16) kmsg.Response {
			return &kmsg.ApiVersionsResponse{Version: v, ErrorCode: 35, ApiKeys: []kmsg.ApiVersionsResponseApiKey{{ApiKey: 1, MinVersion: 2, MaxVersion: 3}, {ApiKey: 4}}}
		}},
		{1, 1, func(v int16) kmsg.Response {
			return &kmsg.SASLHandshakeResponse{Version: v, ErrorCode: 33, SupportedMechanisms: []string{"PLAIN", "SCRAM-SHA-256"}}
		}},
		{0, 2, func(v int16) kmsg.Response {
			return &kmsg.SASLAuthenticateResponse{Version: v, ErrorCode: 58, ErrorMessage: kmsg.StringPtr("no"), SASLAuthBytes: []byte("r=x"), SessionLifetimeMillis: 7}
		}},
		{4, 12, func(v int16) kmsg.Response {
			return &kmsg.MetadataResponse{Version: v, ClusterID: kmsg.StringPtr("c"), Brokers: []kmsg.MetadataResponseBroker{{NodeID: 3, Host: "h", Port: 9092, Rack: kmsg.StringPtr("r")}},
				Topics: []kmsg.MetadataResponseTopic{{ErrorCode: 3, Topic: kmsg.StringPtr("t"), TopicID: id, IsInternal: true, Partitions: []kmsg.MetadataResponseTopicPartition{
					{ErrorCode: 5, Partition: 6, Leader: 7, LeaderEpoch: 8, Replicas: []int32{1, 2}, ISR: []int32{1}, OfflineReplicas: []int32{2}}, {Partition: 9}}}, {Topic: kmsg.StringPtr("u")}}}
		}},
		{1, 7, func(v int16) kmsg.Response {
			return &kmsg.ListOffsetsResponse{Version: v, Topics: []kmsg.ListOffsetsResponseTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsResponseTopicPartition{
				{Partition: 1, ErrorCode: 2, Timestamp: 3, Offset: 4, LeaderEpoch: 5}, {Partition: 2}}}}}
		}},
		{3, 4, func(v int16) kmsg.Response {
			return &kmsg.OffsetForLeaderEpochResponse{Version: v, Topics: []kmsg.OffsetForLeaderEpochResponseTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochResponseTopicPartition{
				{ErrorCode: 1, Partition: 2, LeaderEpoch: 3, EndOffset: 4}, {Partition: 2}}}}}
		}},
		{1, 3, func(v int16) kmsg.Response {
			return &kmsg.FindCoordinatorResponse{Version: v, ErrorCode: 15, ErrorMessage: kmsg.StringPtr("no"), NodeID: 1, Host: "h", Port: 2}
		}},
		{2, 8, func(v int16) kmsg.Response {
			return &kmsg.OffsetCommitResponse{Version: v, Topics: []kmsg.OffsetCommitResponseTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitResponseTopicPartition{{Partition: 1, ErrorCode: 2}, {Partition: 2}}}}}
		}},
	} {
		for version := test.from; version <= test.to; version++ {
			written := test.make(version)
			body := written.AppendTo(nil)
			request := written.RequestKind()
			request.SetVersion(version)
			want, have := request.ResponseKind(), wire.AnswerTo(request)
			if err := want.ReadFrom(body); err != nil {
				t.Fatal(err)
			}
			if err := wire.ReadAnswer(have, body); err != nil {
				t.Errorf("%T version %d: %v", written, version, err)
			}
			if have, want := asText(t, have), asText(t, want); have != want {
				t.Errorf("%T version %d:\n%s in place of\n%s", written, version, have, want)
			}
			for end := range len(body) - 5 { // tags, and what this user may do: nobody reads them
				if err := wire.ReadAnswer(wire.AnswerTo(request), body[:end]); err == nil {
					t.Errorf("%T version %d: %d bytes of %d will do", written, version, end, len(body))
				}
			}
		}
	}
}

// asText renders what wire.ReadAnswer does not pass over.
func asText(t *testing.T, r kmsg.Response) string {
	if m, ok := r.(*kmsg.MetadataResponse); ok {
		short := &wire.Metadata{MetadataResponse: *m}
		short.MetadataResponse.Topics, short.ControllerID, short.Brokers[0].Rack = nil, 0, nil
		for _, topic := range m.Topics {
			s := wire.TopicMetadata{ErrorCode: topic.ErrorCode, Topic: topic.Topic, TopicID: topic.TopicID, IsInternal: topic.IsInternal}
			for _, p := range topic.Partitions {
				s.Partitions = append(s.Partitions, wire.PartitionMetadata{ErrorCode: p.ErrorCode, Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch})
			}
			short.Topics = append(short.Topics, s)
		}
		r = short
	}
	if m, ok := r.(*wire.Metadata); ok {
		m.ControllerID, m.AuthorizedOperations = 0, 0
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOffsetsThatAreNone: batches whose offsets or epochs could be no part of a
// position are malformed, and answers about offsets are asked for again.
func TestOffsetsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, batch := range map[string][]byte{
		"the last offset there is":    handmade{base: math.MaxInt64, producer: -1, records: simpleRecords(1, 10)}.bytes(t),
		"a delta up to it":            handmade{base: math.MaxInt64 - 5, lastDelta: 5, producer: -1, records: simpleRecords(1, 10)}.bytes(t),
		"a delta beyond it":           handmade{base: math.MaxInt64 - 5, lastDelta: 9, producer: -1, records: simpleRecords(1, 10)}.bytes(t),
		"a negative one":              handmade{base: -1, producer: -1, records: simpleRecords(1, 10)}.bytes(t),
		"a negative delta":            handmade{lastDelta: -1, producer: -1}.bytes(t),
		"an epoch that is none":       handmade{epoch: -2, producer: -1, records: simpleRecords(1, 10)}.bytes(t),
		"offsets that fall":           handmade{producer: -1, lastDelta: 9, records: []kmsg.Record{{OffsetDelta: 5}, {OffsetDelta: 3}}}.bytes(t),
		"offsets that are the same":   handmade{producer: -1, lastDelta: 9, records: []kmsg.Record{{OffsetDelta: 5}, {OffsetDelta: 5}}}.bytes(t),
		"a time beyond all":           handmade{producer: -1, firstTime: math.MaxInt64, records: []kmsg.Record{{TimestampDelta64: 1}}}.bytes(t),
		"a time before all":           handmade{producer: -1, firstTime: math.MinInt64, records: []kmsg.Record{{TimestampDelta64: -1}}}.bytes(t),
		"a message at the last":       legacyMessage(1, 0, math.MaxInt64, nil, []byte("v")),
		"a message of format 0 at it": legacyMessage(0, 0, math.MaxInt64, nil, []byte("v")),
	} {
		d := newDecoder()
		if _, err := decodeAll(t, d, batch, 1); err == nil {
			t.Errorf("%s: it is taken, up to %d", name, d.next)
		}
		if d.next < 0 || d.next > 6 {
			t.Errorf("%s: reading would go on at %d", name, d.next)
		}
	}
	d := newDecoder()
	last := handmade{base: math.MaxInt64 - 1, producer: -1, firstTime: math.MaxInt64 - 1, records: []kmsg.Record{{TimestampDelta64: 1}}}.bytes(t)
	if n, err := decodeAll(t, d, last, 1); err != nil || n != 1 || d.next != math.MaxInt64 {
		t.Errorf("the last offset of all: %d records up to %d, %v", n, d.next, err)
	}
	position := positions.New()
	position.Topics["t"] = &topicPosition{Partitions: map[int32]*mark{0: {Next: d.next, Epoch: -1}}}
	if _, err := positions.Parse(position.Render()); err != nil {
		t.Error(err)
	}
}

// TestStartOffsetsThatAreNone has the brokers say that logs begin at offsets
// that are none, until they say better.
func TestStartOffsetsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, offset := range []int64{math.MaxInt64, -1, math.MinInt64} {
		t.Run(fmt.Sprint(offset), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t)
			createTopic(t, c, "t", 1)
			produce(t, client(t, c), numbered("t", 0, 0, 5)...)
			lies := 3
			c.ControlKey(kmsg.ListOffsets.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
				if lies--; lies < 0 {
					return nil, nil, false
				}
				c.KeepControl()
				request := k.(*kmsg.ListOffsetsRequest)
				response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
				partition := kmsg.NewListOffsetsResponseTopicPartition()
				partition.Offset = offset
				response.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsResponseTopicPartition{partition}}}
				return response, nil, true
			})
			s, _ := open(t, config(c, "t"), nil)
			wantValues(t, read(t, s, 5), 0, 5)
			if _, err := positions.Parse(s.Position()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTopicsThatAreNone: brokers tell of topics whose names match the pattern
// but could leave the folder of the files.
func TestTopicsThatAreNone(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	createTopic(t, c, "orders", 1)
	produce(t, client(t, c), numbered("orders", 0, 0, 5)...)
	c.ControlKey(kmsg.Metadata.Int16(), func(k kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		response := k.ResponseKind().(*kmsg.MetadataResponse)
		host, port := c.ListenAddrs()[0], 0
		_, _ = fmt.Sscanf(host[strings.LastIndexByte(host, ':')+1:], "%d", &port)
		response.ClusterID = kmsg.StringPtr("test-cluster")
		for id := range int32(3) { // the topic is with one of them
			response.Brokers = append(response.Brokers, kmsg.MetadataResponseBroker{NodeID: id, Host: "127.0.0.1", Port: int32(port)})
		}
		for _, name := range []string{"../../_schemas", "a/b", ".", "..", "", strings.Repeat("x", 30_000), "o\x00", "orders"} {
			topic := kmsg.MetadataResponseTopic{Topic: kmsg.StringPtr(name), TopicID: c.TopicInfo("orders").TopicID}
			if name != "orders" {
				topic.TopicID = [16]byte{1}
			}
			topic.Partitions = []kmsg.MetadataResponseTopicPartition{{LeaderEpoch: -1}}
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
	k := config(c)
	k.Pattern = "(?s).*"
	s, l := newTestSource(t, k)
	if err := s.refreshMetadata(testContext(t)); err != nil {
		t.Fatal(err)
	}
	defer s.control.close()
	if len(s.table.topics) != 1 || s.table.topics["orders"] == nil {
		t.Errorf("the topics are %v", s.table.topics)
	}
	l.Await(t, "is not a name of a topic")
	if text := l.String(); len(text) > 4000 {
		t.Errorf("%d bytes were logged", len(text))
	}
}
