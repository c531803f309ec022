// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/rabbitmq/wire"
)

// least is how much room for keys and headers is made at once.
const least = 16 << 10

// counters are headers that change when a message comes again.
var counters = []string{"x-delivery-count", "x-acquired-count"}

// recordOf makes a record of a delivery. same are those of its headers that are
// the same when the message comes again.
func (c *queueChunk) recordOf(d *amqp.Delivery) (r source.Record, same []byte) {
	r = source.Record{Timestamp: c.at, Value: d.Body, Headers: source.Headers{Raw: c.room[len(c.room):]}}
	if !d.Timestamp.IsZero() {
		r.Timestamp = d.Timestamp.UnixMilli()
	}
	if r.Value == nil {
		r.Value = []byte{}
	}
	if d.RoutingKey != "" {
		c.room = append(c.room, d.RoutingKey...)
		r.Key = c.room[len(c.room)-len(d.RoutingKey) : len(c.room) : len(c.room)]
		r.Headers.Raw = c.room[len(c.room):]
	}
	for _, p := range [...]struct{ name, value string }{
		{"exchange", d.Exchange}, {"content_type", d.ContentType}, {"content_encoding", d.ContentEncoding}, {"correlation_id", d.CorrelationId},
		{"reply_to", d.ReplyTo}, {"expiration", d.Expiration}, {"message_id", d.MessageId}, {"type", d.Type}, {"user_id", d.UserId}, {"app_id", d.AppId},
	} {
		if p.value != "" {
			r.Headers.Append(wire.PropertyPrefix+p.name, []byte(p.value))
		}
	}
	if d.DeliveryMode != 0 {
		r.Headers.Append(wire.PropertyPrefix+"delivery_mode", strconv.AppendUint(nil, uint64(d.DeliveryMode), 10))
	}
	if d.Priority != 0 {
		r.Headers.Append(wire.PropertyPrefix+"priority", strconv.AppendUint(nil, uint64(d.Priority), 10))
	}
	if len(d.Headers) > 0 {
		names := make([]string, 0, len(d.Headers))
		for name := range d.Headers {
			if !slices.Contains(counters, name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			r.Headers.Append(name, headerText(d.Headers[name]))
		}
	}
	same = r.Headers.Raw
	for _, name := range counters {
		if value, ok := d.Headers[name]; ok {
			r.Headers.Append(name, headerText(value))
		}
	}
	if end := len(c.room) + len(r.Headers.Raw); end <= cap(c.room) {
		c.room = c.room[:end] // they were written behind what was there
	} else {
		c.room = make([]byte, 0, max(2*cap(c.room), least)) // for the next ones
	}
	r.Headers.Raw = r.Headers.Raw[:len(r.Headers.Raw):len(r.Headers.Raw)]
	if d.MessageId != "" {
		if len(c.details) == cap(c.details) {
			c.details = make([]source.Detail, 0, cap(c.chunk.Records))
		}
		c.details = append(c.details, source.Detail{ID: []byte(d.MessageId)})
		r.Detail = &c.details[len(c.details)-1]
	}
	return r, same
}

// headerText is a value of AMQP 0.9.1 as the value of a header; nil is null.
func headerText(value any) []byte {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return []byte(v)
	case []byte:
		if v == nil {
			return []byte{}
		}
		return v
	case amqp.Table, []any:
		text, err := json.Marshal(headerJSON(value))
		if err != nil {
			return []byte(fmt.Sprint(value)) // an infinite number
		}
		return text
	}
	text, ok := headerJSON(value).(string)
	if !ok {
		text = fmt.Sprint(value)
	}
	return []byte(text)
}

// headerJSON is such a value as JSON has it within others.
func headerJSON(value any) any {
	switch v := value.(type) {
	case amqp.Table:
		object := make(map[string]any, len(v))
		for name, inner := range v {
			object[name] = headerJSON(inner)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i, inner := range v {
			list[i] = headerJSON(inner)
		}
		return list
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case amqp.Decimal:
		return decimalText(v)
	}
	return value
}

// decimalText is a decimal with as many digits behind the point as it says.
func decimalText(d amqp.Decimal) string {
	digits, sign := strconv.FormatInt(int64(d.Value), 10), ""
	if d.Value < 0 {
		digits, sign = digits[1:], "-"
	}
	scale := int(d.Scale)
	for len(digits) <= scale {
		digits = "0" + digits
	}
	if scale == 0 {
		return sign + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
