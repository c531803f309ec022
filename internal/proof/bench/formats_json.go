// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/strictjson"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/encode"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/record"
	"github.com/spoutworks/terraform-provider-pachyderm/runner/source"
)

const (
	// fileBytes is what each of four partitions has in a batch.
	fileBytes = batchBytes / 4
	// recordsPerStep is how many records a maker gets at once.
	recordsPerStep = 1000
)

// makers start what makes files of records, by their names. A step makes a whole
// file, of so many records: some of the work is done at its end.
var makers = map[string]func(context.Context) (step func() (records int, err error), err error){
	"jsonl 1024 B": func(context.Context) (func() (int, error), error) {
		return makeFiles("jsonl", "none", jsonValues(1024))
	},
	"jsonl 100 B": func(context.Context) (func() (int, error), error) { return makeFiles("jsonl", "none", jsonValues(100)) },
	"lines 1024 B": func(context.Context) (func() (int, error), error) {
		return makeFiles("lines", "none", jsonValues(1024))
	},
	"parquet bytes 100 B": func(context.Context) (func() (int, error), error) {
		return makeFiles("parquet", "none", jsonValues(100))
	},
	"parquet zstd bytes 100 B": func(context.Context) (func() (int, error), error) {
		return makeFiles("parquet", "zstd", jsonValues(100))
	},
	"strict JSON 1024 B": func(context.Context) (func() (int, error), error) { return checkStrictly(jsonValues(1024)) },
	"rules 1024 B":       func(context.Context) (func() (int, error), error) { return makeRuled("lines", jsonValues(1024)) },
	"rules jsonl 1024 B": func(context.Context) (func() (int, error), error) { return makeRuled("jsonl", jsonValues(1024)) },
	"avro to parquet":    func(ctx context.Context) (func() (int, error), error) { return makeRows(ctx, "parquet", avroOrders) },
	"protobuf to parquet": func(ctx context.Context) (func() (int, error), error) {
		return makeRows(ctx, "parquet", protobufOrders)
	},
	"json schema to parquet": func(ctx context.Context) (func() (int, error), error) { return makeRows(ctx, "parquet", jsonOrders) },
	"avro to avro":           func(ctx context.Context) (func() (int, error), error) { return makeRows(ctx, "avro", avroOrders) },
	"lines zstd 1024 B": func(context.Context) (func() (int, error), error) {
		return makeFiles("lines", "zstd", jsonValues(1024))
	},
	"jsonl zstd 1024 B": func(context.Context) (func() (int, error), error) {
		return makeFiles("jsonl", "zstd", jsonValues(1024))
	},
	// The library's own level of zstd, and the one that the runner takes.
	"typed rows to parquet": func(context.Context) (func() (int, error), error) { return makeTyped(&parquet.Zstd) },
	"typed rows to parquet, same zstd": func(context.Context) (func() (int, error), error) {
		return makeTyped(&zstd.Codec{Level: zstd.SpeedFastest})
	},
}

// jsonValues are 4,000 orders in JSON, of 100 bytes or of 1 KiB, as services
// send them: numbers, short strings, a time, a list of objects, a text.
func jsonValues(size int) [][]byte {
	return newJSONValues(rand.New(rand.NewPCG(1, uint64(size))), size, 4*recordsPerStep)
}

func newJSONValues(random *rand.Rand, size, count int) (values [][]byte) {
	for range count {
		if size == 100 {
			values = append(values, fmt.Appendf(nil, `{"id":%09d,"type":"order","country":"%s","customer":%06d,"total":%d.%02d,"paid":%5t,"sku":"S-%06d"}`,
				random.IntN(9e8)+1e8, country(random), random.IntN(9e5)+1e5, random.IntN(900)+100, random.IntN(100), true, random.IntN(1e6)))
			continue
		}
		v := fmt.Appendf(nil, `{"id":%d,"type":"order","version":3,"created_at":"2026-11-%02dT%02d:%02d:%02d.%03dZ","customer":{"id":%d,"email":"customer%d@example.com","name":"Customer %d","country":"%s","vip":%t,"address":{"street":"Main Street %d","city":"Springfield","zip":"%05d"}},"items":[`,
			random.IntN(1e9), 1+random.IntN(28), random.IntN(24), random.IntN(60), random.IntN(60), random.IntN(1000), random.IntN(1e6), random.IntN(1e6), random.IntN(1e6), country(random), random.IntN(2) == 0, random.IntN(300), random.IntN(100_000))
		for i := range 5 {
			if i > 0 {
				v = append(v, ',')
			}
			v = fmt.Appendf(v, `{"sku":"SKU-%06d","title":"Article number %d","quantity":%d,"price":%d.%02d,"tax":0.19,"gift":false}`,
				random.IntN(1e6), random.IntN(1000), 1+random.IntN(9), random.IntN(500), random.IntN(100))
		}
		v = fmt.Appendf(v, `],"total":%d.%02d,"currency":"EUR","payment":{"method":"card","last4":"%04d","authorized":true},"coupon":null,"note":"`,
			random.IntN(5000), random.IntN(100), random.IntN(10_000))
		for len(v) < size-len(`"}`) {
			v = append(v, "leave it at the door please "[len(v)%28])
		}
		values = append(values, append(v, `"}`...))
	}
	return values
}

func country(random *rand.Rand) string { return []string{"DE", "FR", "JP", "US"}[random.IntN(4)] }

// recordsOf are records of values, in chunks of a step.
func recordsOf(values [][]byte) (chunks [][]source.Record) {
	var records []source.Record
	for i, v := range values {
		records = append(records, source.Record{Offset: int64(i), Timestamp: 1_790_000_000_000 + int64(i), Key: fmt.Appendf(nil, "%06d", i*7919%1_000_000), Value: v})
	}
	for ; len(records) > 0; records = records[recordsPerStep:] {
		chunks = append(chunks, records[:recordsPerStep])
	}
	return chunks
}

func encoderOf(format, compression string) (*encode.Encoder, error) {
	s := settings.Default()
	s.File.Format, s.File.Compression = format, compression
	return encode.NewEncoder(s)
}

var benchStream = source.Stream{Name: consumedTopic}

func discard(string, ...[]byte) error { return nil }

// makeFiles makes files of values as they are.
func makeFiles(format, compression string, values [][]byte) (func() (int, error), error) {
	encoder, err := encoderOf(format, compression)
	if err != nil {
		return nil, err
	}
	chunks, next := recordsOf(values), 0
	return func() (records int, err error) {
		file := encoder.NewFile(encode.Place{Stream: benchStream})
		for file.Size() < fileBytes {
			taken, err := file.Append(chunks[next%len(chunks)], fileBytes)
			if err != nil {
				return 0, err
			}
			next++
			records += taken
		}
		return records, file.Write(discard)
	}, nil
}

// checkStrictly is the part of jsonl that validators are compared with.
func checkStrictly(values [][]byte) (func() (int, error), error) {
	var checker strictjson.Checker
	return func() (int, error) {
		for _, v := range values {
			if err := checker.Check(v); err != nil {
				return 0, err
			}
		}
		return len(values), nil
	}, nil
}

// makeRuled makes files of what a filter keeps, with a field masked, a folder
// for each value of another.
func makeRuled(format string, values [][]byte) (func() (int, error), error) {
	s, err := settings.Parse([]string{"SPOUT_KAFKA_BROKERS=localhost:9092", "SPOUT_KAFKA_TOPICS=" + benchStream.Name, "SPOUT_FILE_FORMAT=" + format,
		"SPOUT_RECORD_FILTER=value:type == order", "SPOUT_RECORD_MASK=customer.email=hash", "SPOUT_FILE_PATH={value:customer.country}/{partition}-{first_offset}.{ext}"})
	if err != nil {
		return nil, err
	}
	encoder, err := encode.NewEncoder(s)
	if err != nil {
		return nil, err
	}
	rules := record.NewRules(s)
	chunks, next := recordsOf(values), 0
	var single [1]source.Record
	return func() (records int, err error) {
		files := map[string]encode.File{}
		for size := 0; size < fileBytes; {
			for _, r := range chunks[next%len(chunks)] {
				single[0] = r
				if keep, err := rules.Apply(&single[0]); err != nil || !keep {
					return 0, fmt.Errorf("the record is kept: %t, %w", keep, err)
				}
				folder := rules.Route(&single[0])
				file := files[string(folder)]
				if file == nil {
					file = encoder.NewFile(encode.Place{Stream: benchStream, Values: string(folder)})
					files[string(folder)] = file
				}
				before := file.Size()
				if _, err := file.Append(single[:], batchBytes); err != nil {
					return 0, err
				}
				size += file.Size() - before
			}
			next++
			records += recordsPerStep
		}
		for _, file := range files {
			if err := file.Write(discard); err != nil {
				return 0, err
			}
		}
		return records, nil
	}, nil
}
