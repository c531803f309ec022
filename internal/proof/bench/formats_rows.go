// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/parquet-go/parquet-go"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	// orders is how many different rows there are.
	orders = 50 * recordsPerStep
	// rowsPerFile are about 16 MiB in Avro's encoding.
	rowsPerFile = 150 * recordsPerStep
)

// Order is a row of twelve fields: what a service has of an order.
type Order struct {
	ID        int64    `parquet:"id"`
	Customer  int64    `parquet:"customer_id"`
	Status    string   `parquet:"status,dict"`
	Email     string   `parquet:"email,dict"`
	Country   string   `parquet:"country,dict"`
	Quantity  int32    `parquet:"quantity"`
	Discount  float64  `parquet:"discount"`
	Amount    []byte   `parquet:"amount"`
	CreatedAt int64    `parquet:"created_at,timestamp(microsecond)"`
	UpdatedAt int64    `parquet:"updated_at,timestamp(millisecond)"`
	Tags      []string `parquet:"tags,list" parquet-element:",dict"`
	Note      *string  `parquet:"note,optional,dict"`
}

// typedOrder is the row as it is in a file.
type typedOrder struct {
	Order
	Record struct {
		Topic     string `parquet:"topic,dict"`
		Partition int32  `parquet:"partition"`
		Offset    int64  `parquet:"offset"`
		Timestamp int64  `parquet:"timestamp,timestamp(millisecond)"`
		Key       []byte `parquet:"key,optional"`
		Headers   []struct {
			Key   string `parquet:"key,dict"`
			Value []byte `parquet:"value,optional"`
		} `parquet:"headers,list"`
	} `parquet:"_record"`
}

func newOrders() (list []Order) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	for i := range orders {
		created := 1_790_000_000_000_000 + int64(i)*1_700_003
		o := Order{ID: 1_000_000 + int64(i), Customer: random.Int64N(1e6), Status: pick("new", "paid", "packed", "shipped", "returned"),
			Country: country(random), Quantity: 1 + random.Int32N(20), Discount: float64(random.IntN(40)) / 100,
			Amount: big.NewInt(100 + random.Int64N(1e6)).Bytes(), CreatedAt: created, UpdatedAt: created/1000 + random.Int64N(1e6)}
		if o.Amount[0] >= 0x80 { // it would be negative
			o.Amount = append([]byte{0}, o.Amount...)
		}
		o.Email = fmt.Sprintf("customer%d@example.com", o.Customer)
		for range random.IntN(4) {
			o.Tags = append(o.Tags, pick("gift", "express", "fragile", "b2b", "first"))
		}
		if random.IntN(2) == 0 {
			note := fmt.Sprintf("leave it with number %d", random.IntN(300))
			o.Note = &note
		}
		list = append(list, o)
	}
	return list
}

// registered are values in one of the encodings that a registry knows.
type registered struct {
	kind   sr.SchemaType
	schema string
	header []byte // after the zero byte and the schema's number
	value  func(Order) ([]byte, error)
}

const orderSchema = `{"type":"record","name":"Order","namespace":"shop","fields":[
	{"name":"id","type":"long"},{"name":"customer_id","type":"long"},{"name":"status","type":"string"},{"name":"email","type":"string"},
	{"name":"country","type":"string"},{"name":"quantity","type":"int"},{"name":"discount","type":"double"},
	{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
	{"name":"created_at","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"updated_at","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"tags","type":{"type":"array","items":"string"}},{"name":"note","type":["null","string"]}]}`

var avroOrders = registered{kind: sr.TypeAvro, schema: orderSchema, value: func() func(Order) ([]byte, error) {
	parsed := avro.MustParse(orderSchema)
	return func(o Order) ([]byte, error) {
		var note any
		if o.Note != nil {
			note = *o.Note
		}
		amount := big.NewRat(new(big.Int).SetBytes(o.Amount).Int64(), 100)
		return parsed.Encode(map[string]any{"id": o.ID, "customer_id": o.Customer, "status": o.Status, "email": o.Email, "country": o.Country,
			"quantity": o.Quantity, "discount": o.Discount, "amount": amount, "created_at": time.UnixMicro(o.CreatedAt), "updated_at": time.UnixMilli(o.UpdatedAt), "tags": o.Tags, "note": note})
	}
}()}

var protobufOrders = registered{kind: sr.TypeProtobuf, header: []byte{0}, schema: `syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Order {
	int64 id = 1; int64 customer_id = 2; string status = 3; string email = 4; string country = 5; int32 quantity = 6; double discount = 7;
	string amount = 8; google.protobuf.Timestamp created_at = 9; google.protobuf.Timestamp updated_at = 10; repeated string tags = 11; optional string note = 12;
}`, value: func(o Order) (b []byte, err error) {
	text := func(number protowire.Number, text string) {
		b = protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
	}
	whole := func(number protowire.Number, n int64) {
		b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(n))
	}
	instant := func(number protowire.Number, t time.Time) {
		m := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(t.Unix()))
		if n := t.Nanosecond(); n != 0 {
			m = protowire.AppendVarint(protowire.AppendTag(m, 2, protowire.VarintType), uint64(n))
		}
		b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), m)
	}
	whole(1, o.ID)
	whole(2, o.Customer)
	text(3, o.Status)
	text(4, o.Email)
	text(5, o.Country)
	whole(6, int64(o.Quantity))
	b = protowire.AppendFixed64(protowire.AppendTag(b, 7, protowire.Fixed64Type), math.Float64bits(o.Discount))
	text(8, o.amount())
	instant(9, time.UnixMicro(o.CreatedAt))
	instant(10, time.UnixMilli(o.UpdatedAt))
	for _, tag := range o.Tags {
		text(11, tag)
	}
	if o.Note != nil {
		text(12, *o.Note)
	}
	return b, nil
}}

var jsonOrders = registered{kind: sr.TypeJSON, schema: `{"type":"object","additionalProperties":false,
	"required":["id","customer_id","status","email","country","quantity","discount","amount","created_at","updated_at","tags"],"properties":{
	"id":{"type":"integer"},"customer_id":{"type":"integer"},"status":{"type":"string"},"email":{"type":"string"},"country":{"type":"string"},
	"quantity":{"type":"integer"},"discount":{"type":"number"},"amount":{"type":"string"},"created_at":{"type":"string","format":"date-time"},
	"updated_at":{"type":"string","format":"date-time"},"tags":{"type":"array","items":{"type":"string"}},"note":{"type":["null","string"]}}}`,
	value: func(o Order) ([]byte, error) {
		v := fmt.Appendf(nil, `{"id":%d,"customer_id":%d,"status":%q,"email":%q,"country":%q,"quantity":%d,"discount":%g,"amount":%q,"created_at":%q,"updated_at":%q,"tags":[`,
			o.ID, o.Customer, o.Status, o.Email, o.Country, o.Quantity, o.Discount, o.amount(), time.UnixMicro(o.CreatedAt).UTC().Format(time.RFC3339Nano), time.UnixMilli(o.UpdatedAt).UTC().Format(time.RFC3339Nano))
		for i, tag := range o.Tags {
			if i > 0 {
				v = append(v, ',')
			}
			v = fmt.Appendf(v, "%q", tag)
		}
		if o.Note == nil {
			return append(v, `],"note":null}`...), nil
		}
		return fmt.Appendf(v, `],"note":%q}`, *o.Note), nil
	}}

func (o Order) amount() string {
	cents := new(big.Int).SetBytes(o.Amount).Int64()
	return fmt.Sprintf("%d.%02d", cents/100, cents%100)
}

// makeRows makes files of values that a registry has the schema of.
func makeRows(ctx context.Context, format string, of registered) (func() (int, error), error) {
	const id = 7
	var values [][]byte
	for _, o := range newOrders() {
		v, err := of.value(o)
		if err != nil {
			return nil, err
		}
		values = append(values, append(append([]byte{0, 0, 0, 0, id}, of.header...), v...))
	}
	fake := srfake.New()
	defer fake.Close()
	fake.SeedSchema(consumedTopic+"-value", 1, id, sr.Schema{Schema: of.schema, Type: of.kind})
	s := settings.Default()
	s.File.Format, s.File.Compression, s.SchemaRegistry.URL = format, "zstd", fake.URL()
	registry, err := schema.NewRegistry(s, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	if _, err := registry.Lookup(ctx, id); err != nil {
		return nil, err
	}
	encoder, err := encoderOf(format, "zstd")
	if err != nil {
		return nil, err
	}
	chunks, next := recordsOf(values), 0
	var scratch []byte
	var single [1]source.Record
	return func() (int, error) { // as runner/ingest has it
		var file encode.File
		for range rowsPerFile / recordsPerStep {
			for _, r := range chunks[next%len(chunks)] {
				id, payload, err := schema.Split(r.Value)
				if err != nil {
					return 0, err
				}
				values, err, _ := registry.Known(id)
				if err != nil {
					return 0, err
				}
				rows, value, err := values.Decode(scratch, payload)
				if err != nil {
					return 0, err
				}
				if of.kind != sr.TypeAvro {
					scratch = value[:0]
				}
				if file == nil {
					file = encoder.NewFile(encode.Place{Stream: benchStream, Rows: rows})
				}
				r.Value = value
				single[0] = r
				if _, err := file.Append(single[:], batchBytes); err != nil {
					return 0, err
				}
			}
			next++
		}
		return rowsPerFile, file.Write(discard)
	}, nil
}

// makeTyped makes the same Parquet files of the same rows with the library's own
// writer, of rows that are Go's structs already.
func makeTyped() (func() (int, error), error) {
	var rows []typedOrder
	for i, o := range newOrders() {
		row := typedOrder{Order: o}
		row.Record.Topic, row.Record.Offset = benchStream.Name, int64(i)
		row.Record.Timestamp, row.Record.Key = 1_790_000_000_000+int64(i), fmt.Appendf(nil, "%06d", i*7919%1_000_000)
		rows = append(rows, row)
	}
	w := parquet.NewGenericWriter[typedOrder](io.Discard, parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1), parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain),
		parquet.DictionaryMaxBytes(1<<20), parquet.DataPageStatistics(false))
	next := 0
	return func() (int, error) {
		w.Reset(io.Discard)
		for range rowsPerFile / recordsPerStep {
			if _, err := w.Write(rows[next : next+recordsPerStep]); err != nil {
				return 0, err
			}
			next = (next + recordsPerStep) % len(rows)
		}
		return rowsPerFile, w.Close()
	}, nil
}
