// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/rsstest"
)

func parse(raw string) (m Message, headers string, err error) {
	var list []string
	m, err = ParseMessage([]byte(raw), func(name string, value []byte) {
		if value == nil {
			list = append(list, name+" is null")
			return
		}
		list = append(list, name+"="+string(value))
	})
	return m, strings.Join(list, " "), err
}

// TestMessages: whatever a publisher may have put into a message is read as
// AMQP 1.0 has it.
func TestMessages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ raw, body, headers string }{
		"nothing":           {"", "", ""},
		"a body":            {"\x00\x53\x75\xa0\x02hi", "hi", ""},
		"a long body":       {"\x00\x53\x75\xb0\x00\x00\x00\x02hi", "hi", ""},
		"a long descriptor": {"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x75\xa0\x02hi", "hi", ""},
		"an empty body":     {"\x00\x53\x75\xa0\x00", "", ""},
		"two parts":         {"\x00\x53\x75\xa0\x02hi\x00\x53\x75\xa0\x01!", "hi!", ""},
		"a text":            {"\x00\x53\x77\xa1\x02hi", "hi", ""},
		"a number":          {"\x00\x53\x77\x55\xff", "-1", ""},
		"a list":            {"\x00\x53\x76\xc0\x05\x03\x40\x41\x52\x07", "[null,true,7]", ""},
		"a map":             {"\x00\x53\x77\xc1\x06\x02\xa1\x01a\x54\xfe", `{"a":-2}`, ""},
		"an array":          {"\x00\x53\x77\xe0\x04\x02\x50\x01\x02", "[1,2]", ""},
		"nested": {"\x00\x53\x77\xc0\x0a\x02\xc1\x06\x02\xa1\x01a\x54\xfe\x45",
			`[{"a":-2},[]]`, ""},
		"properties": {"\x00\x53\x73\xc0\x1a\x0a\xa1\x01m\x40\xa1\x01t\x40\x40\x40\x40\x40\x40\x83\x00\x00\x01\x00\x00\x00\x00\x00\x00\x53\x75\xa0\x00",
			"", "rabbitmq.message_id=m rabbitmq.to=t"},
		"an id that is a number":  {"\x00\x53\x73\xc0\x03\x01\x53\x07\x00\x53\x75\xa0\x00", "", "rabbitmq.message_id=7"},
		"an id that is a UUID":    {"\x00\x53\x73\xd0\x00\x00\x00\x15\x00\x00\x00\x01\x98\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", "", "rabbitmq.message_id=00112233-4455-6677-8899-aabbccddeeff"},
		"no properties":           {"\x00\x53\x73\x45\x00\x53\x75\xa0\x01x", "x", ""},
		"headers":                 {"\x00\x53\x74\xc1\x13\x06\xa1\x01a\x42\xa1\x01b\x40\xa1\x01c\x82\x3f\xf8\x00\x00\x00\x00\x00\x00", "", "a=false b is null c=1.5"},
		"annotations of 0.9.1":    {"\x00\x53\x72\xc1\x1d\x02\xa3\x0ax-exchange\xa1\x0eorders-of-shop", "", "rabbitmq.exchange=orders-of-shop"},
		"header, delivery footer": {"\x00\x53\x70\xc0\x02\x01\x41\x00\x53\x71\xc1\x01\x00\x00\x53\x75\xa0\x01x\x00\x53\x78\xc1\x01\x00", "x", ""},
		"a described value":       {"\x00\x53\x77\x00\xa3\x01u\xa1\x02hi", "hi", ""},
	} {
		m, headers, err := parse(test.raw)
		if err != nil || string(m.Body) != test.body || headers != test.headers {
			t.Errorf("%s: %q, %s, %v", name, m.Body, headers, err)
		}
	}
	m, _, err := parse("\x00\x53\x72\xc1\x13\x02\xa3\x0dx-routing-key\xa1\x01k\x00\x53\x75\xa0\x01x")
	if err != nil || string(m.RoutingKey) != "k" {
		t.Errorf("%+v %v", m, err)
	}
}

// TestBrokenMessages: what is no message is an error that says so, and takes
// no more memory than it has bytes.
func TestBrokenMessages(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("\xc0\xff\x01", 100)
	for name, raw := range map[string]string{
		"cut off":             "\x00\x53\x75\xa0\x03hi",
		"no section":          "hello",
		"an unknown section":  "\x00\x53\x01\xa0\x00",
		"a huge map":          "\x00\x53\x74\xd1\xff\xff\xff\xff\xff\xff\xff\xff",
		"an unknown type":     "\x00\x53\x77\x01",
		"nested for ever":     "\x00\x53\x77" + deep,
		"described for ever":  "\x00\x53\x77" + strings.Repeat("\x00", 100),
		"properties of a map": "\x00\x53\x73\xc1\x01\x00",
	} {
		if _, _, err := parse(raw); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLargeLists: a value that would take many times its bytes stays as it is.
func TestLargeLists(t *testing.T) { // not parallel: allocations are counted
	const count = 1 << 20
	raw := "\x00\x53\x77\xd0\x00\x10\x00\x04\x00\x10\x00\x00" + strings.Repeat("\x41", count)
	allocated := testing.AllocsPerRun(1, func() {
		m, _, err := parse(raw)
		if err != nil || len(m.Body) != count+4 {
			t.Errorf("%d bytes, %v", len(m.Body), err)
		}
	})
	if allocated > 20 {
		t.Errorf("%.0f allocations", allocated)
	}
}

// TestHostileMessages: no message takes more time or memory than its length is
// a reason for.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	keys := []byte("\xa1\x01\"") // of a map in a key of a map in a key, and so on
	for range 28 {
		body := append(append([]byte{0, 0, 0, 2}, keys...), 0x40)
		keys = append(binary.BigEndian.AppendUint32([]byte{0xd1}, uint32(len(body))), body...)
	}
	control := "\xb1" + string(binary.BigEndian.AppendUint32(nil, 1<<20)) + strings.Repeat("\x01", 1<<20)
	list := "\xd0" + string(binary.BigEndian.AppendUint32(nil, uint32(len(control)+4))) + "\x00\x00\x00\x01" + control
	for name, test := range map[string]struct {
		raw  string
		most int // bytes of the body
	}{
		"many sections":      {strings.Repeat("\x00\x53\x75\xa0\x01x", 1<<20/6), 1 << 20},
		"sections in turn":   {strings.Repeat("\x00\x53\x75\xa0\x01x\x00\x53\x77\xa0\x01x", 1<<20/12), 1 << 20},
		"keys in keys":       {"\x00\x53\x77" + string(keys), 4 << 10},
		"control characters": {"\x00\x53\x77" + list, 4 << 20},
	} {
		rsstest.Bounded(t, 64<<20, 2*time.Second, func() {
			m, _, err := parse(test.raw)
			if err != nil || len(m.Body) > test.most || len(m.Body) == 0 {
				t.Errorf("%s: %d bytes, %v", name, len(m.Body), err)
			}
		})
	}
}

// batchOf is a batch of messages, as an entry of a chunk.
func batchOf(kind byte, count, plain int, packed string) []byte {
	data := binary.BigEndian.AppendUint16([]byte{0x80 | kind<<4}, uint16(count))
	data = binary.BigEndian.AppendUint32(data, uint32(plain))
	return append(binary.BigEndian.AppendUint32(data, uint32(len(packed))), packed...)
}

// TestHostileBatches: a batch that its publisher has not made as it should be
// can be left out, and there are no more messages than the chunk says.
func TestHostileBatches(t *testing.T) {
	t.Parallel()
	const good = "\x00\x00\x00\x02hi"
	for name, test := range map[string]struct {
		messages int
		entries  [][]byte
		want     string // g for a message, and x for one that is left out
		damaged  bool
	}{
		"as it should":          {3, [][]byte{[]byte(good), batchOf(0, 2, 12, good+good)}, "ggg", false},
		"no zstd":               {4, [][]byte{[]byte(good), batchOf(4, 2, 100, "xxxx"), []byte(good)}, "gxxg", false},
		"a huge claim":          {3, [][]byte{batchOf(1, 2, 1<<32-1, "xxxx"), []byte(good)}, "xxg", false},
		"an unknown one":        {2, [][]byte{batchOf(7, 1, 5, "xxxx"), []byte(good)}, "xg", false},
		"fewer than it says":    {4, [][]byte{batchOf(0, 3, 6, good), []byte(good)}, "gxxg", false},
		"a message that is cut": {3, [][]byte{batchOf(0, 2, 11, good+"\xff\xff\xff\xffx"), []byte(good)}, "gxg", false},
		"more than there are":   {2, [][]byte{[]byte(good), batchOf(0, 65535, 4*65535, strings.Repeat("\x00", 4*65535))}, "g", true},
		"too many entries":      {1, [][]byte{[]byte(good), []byte(good)}, "g", true},
	} {
		data := bytes.Join(test.entries, nil)
		c := &Chunk{Head: Head{Entries: len(test.entries), Messages: test.messages, First: 7, Bytes: len(data), user: true, crc: checksum(data)}, Data: data}
		var r Reader
		got := ""
		next := func(offset int64, n int, as string) error {
			if offset != int64(7+len(got)) {
				t.Errorf("%s: offset %d after %q", name, offset, got)
			}
			got += strings.Repeat(as, n)
			return nil
		}
		err := r.Messages(c, func(n int) ([]byte, error) {
			if n > 1000 {
				return nil, &TooLargeError{n, 1000}
			}
			return make([]byte, n), nil
		}, func(offset int64, _ []byte) error { return next(offset, 1, "g") }, func(offset int64, n int, _ error) error { return next(offset, n, "x") })
		if got != test.want || errors.Is(err, ErrDamaged) != test.damaged || !test.damaged && err != nil {
			t.Errorf("%s: %q, %v; should be %q", name, got, err, test.want)
		}
		r.Close()
	}
	raw := make([]byte, headSize)
	raw[0], raw[3], raw[7] = 0x50, 1, 1
	for first, want := range map[uint64]bool{0: true, math.MaxInt64 - 2: true, math.MaxInt64 - 1: false, math.MaxInt64: false} {
		binary.BigEndian.PutUint64(raw[24:], first)
		if _, err := ParseHead(raw); (err == nil) != want {
			t.Errorf("a chunk at offset %d: %v", first, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("\x00\x53\x73\xc0\x1a\x0a\xa1\x01m\x40\xa1\x01t\x40\x40\x40\x40\x40\x40\x83\x00\x00\x01\x00\x00\x00\x00\x00\x00\x53\x75\xa0\x00"))
	f.Add([]byte("\x00\x53\x77\xc0\x0a\x02\xc1\x06\x02\xa1\x01a\x54\xfe\x45"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		made := 0
		rsstest.Bounded(t, int64(4<<20+1000*len(raw)), 10*time.Second, func() {
			m, err := ParseMessage(raw, func(name string, value []byte) { made += len(name) + len(value) })
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			made += len(m.Body)
		})
		if made > 32*len(raw)+8<<10 {
			t.Errorf("%d bytes are made of %d", made, len(raw))
		}
	})
}

// FuzzChunk reads chunks that anybody may have published: in bounded memory and
// time, and with as many messages as they say, or an error.
func FuzzChunk(f *testing.F) {
	for kind := range byte(8) { // of compression
		f.Add(1, 3, []byte{0x80 | kind<<4, 0, 3, 0, 0, 0, 12, 0, 0, 0, 4, 'x', 'x', 'x', 'x'})
		f.Add(1, 65535, []byte{0x80 | kind<<4, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1, 'x'})
	}
	f.Add(1, 0xffff, binary.BigEndian.AppendUint32([]byte{0x90, 0xff, 0xff, 0, 4, 0, 0}, 0))
	f.Add(2, 3, []byte("\x00\x00\x00\x02hi\x80\x00\x02\x00\x00\x00\x0a\x00\x00\x00\x0a\x00\x00\x00\x01a\x00\x00\x00\x01b"))
	f.Fuzz(func(t *testing.T, entries, messages int, data []byte) {
		c := &Chunk{Head: Head{Entries: entries & 0xff, Messages: messages & 0xffff, Bytes: len(data), user: true}, Data: data}
		c.Head.crc = checksum(data)
		room := make([]byte, 1<<20) // of batches that were compressed, one after the other
		n, err := 0, error(nil)
		rsstest.Bounded(t, 32<<20+64*int64(len(data)), 10*time.Second, func() {
			var r Reader
			defer r.Close()
			n = 0
			err = r.Messages(c, func(n int) ([]byte, error) {
				if n > len(room) {
					return nil, errors.New("too large")
				}
				return room[:n], nil
			}, func(offset int64, _ []byte) error {
				if offset != int64(n) {
					t.Errorf("offset %d is that of message %d", offset, n)
				}
				n++
				return nil
			}, func(offset int64, messages int, _ error) error {
				if offset != int64(n) {
					t.Errorf("offset %d is that of message %d", offset, n)
				}
				n += messages
				return nil
			})
		})
		if n > c.Head.Messages {
			t.Errorf("%d messages are in a chunk of %d", n, c.Head.Messages)
		}
		if err == nil && n != c.Head.Messages {
			t.Error(fmt.Errorf("%d messages of %d", n, c.Head.Messages))
		}
	})
}
