// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/proof/figures"
)

// What a format takes for a record is the processor time of a process that
// makes files of records which are in its memory, and gives them to nobody.

// maker is such a process, by its name in makers.
type maker string

func (m maker) String() string { return string(m) }

// contend implements [contestant].
func (m maker) contend(ctx context.Context) (*contender, error) {
	process, input, output, err := child(ctx, "-make", string(m))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m, err)
	}
	return ready(m, process, input, output)
}

// ready waits until a process that is by itself is warm.
func ready(name fmt.Stringer, process *exec.Cmd, input io.WriteCloser, output io.Reader) (*contender, error) {
	c := &contender{input: input, answers: json.NewDecoder(output), end: func() error { return errors.Join(input.Close(), process.Wait()) }}
	if err := c.answers.Decode(&c.so); err != nil {
		return nil, errors.Join(fmt.Errorf("%s ended early: %w", name, err), c.end())
	}
	return c, nil
}

// beMaker is the process of a maker: it works once it is started until it is
// warm, and then in turns, each begun by a line on its input.
func beMaker(ctx context.Context, name, profile string) error {
	start, ok := makers[name]
	if !ok {
		return fmt.Errorf("-make %s: there is %v", name, makerNames())
	}
	step, err := start(ctx)
	if err != nil {
		return err
	}
	stopProfile, err := startProfile(profile)
	if err != nil {
		return err
	}
	defer stopProfile()
	turns, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	records := 0
	for long := warmUp; ; long = turnTime {
		for until := time.Now().Add(long); time.Now().Before(until); {
			n, err := step()
			if err != nil {
				return err
			}
			records += n
		}
		rest()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if err := answers.Encode(used{Records: records, Processor: processor(), Allocations: m.Mallocs}); err != nil {
			return err
		}
		if ctx.Err() != nil || !turns.Scan() {
			return ctx.Err()
		}
	}
}

func makerNames() (names []string) {
	for name := range makers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// validator is a process of another module, which checks JSON values with a
// library that the product does not depend on.
type validator struct {
	library        string
	program, input string // paths
}

func (v validator) String() string { return v.library }

// contend implements [contestant].
func (v validator) contend(ctx context.Context) (*contender, error) {
	process := exec.CommandContext(ctx, v.program, "-library", v.library, "-values", v.input, "-warm-up", warmUp.String(), "-turn", turnTime.String())
	process.Stderr = os.Stderr
	input, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := process.StdoutPipe()
	if err == nil {
		err = process.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v, err)
	}
	return ready(v, process, input, output)
}

// validatorLibraries are those that tools/validators knows.
var validatorLibraries = []string{"encoding/json", "minio/simdjson-go", "bytedance/sonic", "goccy/go-json"}

// newValidators builds tools/validators, and has it check the same values as jsonl gets.
func newValidators(ctx context.Context, folder string) (list []contestant, err error) {
	program, input := filepath.Join(folder, "validators"), filepath.Join(folder, "values")
	build := exec.CommandContext(ctx, "go", "build", "-C", "tools", "-o", program, "./validators")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build tools/validators: %w", err)
	}
	var text []byte
	for _, v := range jsonValues(1024) {
		text = append(append(text, v...), '\n')
	}
	for _, library := range validatorLibraries {
		list = append(list, validator{library, program, input})
	}
	return list, os.WriteFile(input, text, 0o600)
}

// formatsTime compares what formats take for a record.
func formatsTime(ctx context.Context, b *bench) (measured []figures.Figure, err error) {
	folder, err := os.MkdirTemp("", "bench-formats-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	validators, err := newValidators(ctx, folder)
	if err != nil {
		return nil, err
	}
	lower := func(name string, value float64, unit string, target *float64) figures.Figure {
		return figures.Figure{Name: name, Value: value, Target: target, Better: figures.Lower, Unit: unit}
	}
	most := 0.0
	median := func(costs []cost) float64 {
		most = max(most, figures.Median(allocations(costs)))
		return figures.Median(nanoseconds(costs))
	}

	texts, err := compare(ctx, b.rounds, append([]contestant{maker("jsonl 1024 B"), maker("strict JSON 1024 B"), maker("rules 1024 B")}, validators...)...)
	if err != nil {
		return nil, err
	}
	fastest := texts[3]
	for _, other := range texts[4:] {
		if figures.Median(nanoseconds(other)) < figures.Median(nanoseconds(fastest)) {
			fastest = other
		}
	}
	measured = append(measured,
		lower("jsonl_cpu_per_record_1024B", median(texts[0]), "ns", figures.Target(900)),
		lower("json_check_cpu_per_record_1024B", median(texts[1]), "ns", nil),
		figures.Figure{Name: "json_check_to_fastest_validator", Value: ratio(fastest, texts[1]), Target: figures.Target(0.6), Better: figures.Higher, Unit: "ratio"},
		figures.Figure{Name: "jsonl_to_fastest_validator", Value: ratio(fastest, texts[0]), Target: figures.Target(0.6), Better: figures.Higher, Unit: "ratio"},
		lower("rules_cpu_per_record_1024B", median(texts[2]), "ns", figures.Target(1200)))

	short, err := compare(ctx, b.rounds, maker("jsonl 100 B"), maker("parquet bytes 100 B"), maker("parquet zstd bytes 100 B"), maker("rules jsonl 1024 B"), maker("jsonl zstd 1024 B"), maker("lines zstd 1024 B"))
	if err != nil {
		return nil, err
	}
	measured = append(measured,
		lower("jsonl_cpu_per_record_100B", median(short[0]), "ns", figures.Target(200)),
		lower("parquet_bytes_cpu_per_record_100B", median(short[1]), "ns", figures.Target(400)),
		lower("parquet_zstd_bytes_cpu_per_record_100B", median(short[2]), "ns", nil),
		lower("rules_jsonl_cpu_per_record_1024B", median(short[3]), "ns", nil),
		lower("jsonl_zstd_cpu_per_record_1024B", median(short[4]), "ns", nil),
		lower("lines_zstd_cpu_per_record_1024B", median(short[5]), "ns", nil))

	rows, err := compare(ctx, b.rounds, maker("avro to parquet"), maker("typed rows to parquet"), maker("protobuf to parquet"), maker("json schema to parquet"), maker("avro to avro"), maker("typed rows to parquet, same zstd"))
	if err != nil {
		return nil, err
	}
	measured = append(measured,
		lower("registry_avro_to_parquet_cpu_per_record", median(rows[0]), "ns", figures.Target(1500)),
		lower("registry_avro_to_parquet_to_typed_rows", ratio(rows[0], rows[1]), "ratio", figures.Target(1.3)),
		lower("registry_avro_to_parquet_to_typed_rows_same_zstd", ratio(rows[0], rows[5]), "ratio", nil),
		lower("typed_rows_to_parquet_cpu_per_record", figures.Median(nanoseconds(rows[1])), "ns", nil),
		lower("registry_protobuf_to_parquet_cpu_per_record", median(rows[2]), "ns", figures.Target(2500)),
		lower("registry_json_to_parquet_cpu_per_record", median(rows[3]), "ns", figures.Target(4000)),
		lower("registry_avro_to_avro_cpu_per_record", median(rows[4]), "ns", figures.Target(800)))
	return append(measured, lower("formats_allocations_per_record", most, "count", figures.Target(0.01))), nil
}
