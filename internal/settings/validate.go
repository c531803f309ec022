// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// Problem is one thing that is wrong with one setting.
type Problem struct {
	Variable string // its name, as SPOUT_KAFKA_BROKERS
	Value    string // what it was, as far as it may be shown, "" if that does not matter
	Fix      string // what is wrong and what to write instead

	// With are the other variables whose values it comes from: with another
	// value of one of them, nothing might be wrong.
	With []string

	// Login says that the value may hold a password, so that the line of a file
	// in which it stands must not be shown either.
	Login bool
}

func (p Problem) Error() string {
	if p.Value == "" {
		return p.Variable + " " + p.Fix
	}
	return fmt.Sprintf("%s=%q %s", p.Variable, p.Value, p.Fix)
}

// Problems are all that is wrong with some settings.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

func (p *Problems) add(variable, value, fix string, with ...string) {
	problem := Problem{Variable: variable, Value: value, Fix: fix, With: with}
	if isAddress(variable) {
		problem.Value, problem.Login = address.Redacted(value), address.HasLogin(value)
	}
	*p = append(*p, problem)
}

func isAddress(variable string) bool {
	v, _ := VariableNamed(variable)
	return v.Address
}

func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Validate checks everything that can be known without a connection. The
// error, if any, is a [Problems].
func (s Settings) Validate() error { return s.validate().orNil() }

func (s Settings) validate() (p Problems) {
	for _, v := range variables {
		if v.Source != "" && v.Source != s.Source || len(v.Values) == 0 {
			continue
		}
		if value := s.field(v).String(); value != "" || v.Default != "" {
			p = append(p, v.Check(value)...)
		}
	}
	if s.File.Compression == "snappy" && !s.File.HasRows() {
		p.add("SPOUT_FILE_COMPRESSION", s.File.Compression, "is for avro and parquet only; take zstd, which is as fast, or none", "SPOUT_FILE_FORMAT")
	}
	if s.OutputBranch == "" {
		p.add("SPOUT_OUTPUT_BRANCH", "", "must name a branch")
	}
	if source, ok := s.chosen(); ok {
		p = append(p, source.validate(s)...)
	}
	p = append(p, s.Record.validate()...)
	p = append(p, s.HTTP.validate()...)
	p = append(p, s.SchemaRegistry.validate(s.File)...)
	p = append(p, s.validateLimits()...)
	p = append(p, s.validateFolders()...)
	return append(p, s.validatePath()...)
}

// Check says what is wrong with a value of a setting that may have certain ones
// only.
func (v Variable) Check(value string) (p Problems) {
	names := make([]string, len(v.Values))
	for i, allowed := range v.Values {
		names[i] = allowed.Name
	}
	if len(names) == 0 || slices.Contains(names, value) {
		return nil
	}
	fix := "must be one of " + strings.Join(names, ", ")
	if lower := strings.ToLower(value); slices.Contains(names, lower) {
		fix += ", in lower case: write " + lower
	} else if near, ok := Nearest(value, names); ok && value != "" {
		fix += "; did you mean " + near + "?"
	}
	p.add(v.Name, value, fix)
	return p
}

func (s Settings) validatePath() (p Problems) {
	read, path := s.streams(), s.FilePath()
	problem := path.check(s.Layout(), len(read.names) > 1 || read.others)
	longest := path.longestElement(read.names, read.others)
	switch {
	case problem != "":
	case len(path.References()) > 0 && longest > maxElement:
		problem = fmt.Sprintf("can have elements of %d bytes, more than the %d that file systems allow; put a / between its placeholders", longest, maxElement)
	}
	if problem != "" {
		p.add("SPOUT_FILE_PATH", path.String(), problem)
	}
	return p
}

// ValidateSecrets checks the settings that only the pod knows: that the
// secrets which the others call for have arrived.
func (s Settings) ValidateSecrets() error {
	var p Problems
	if source, ok := s.chosen(); ok {
		p = append(p, source.validateSecrets()...)
	}
	p = append(p, s.SchemaRegistry.validateSecrets()...)
	p = append(p, s.HTTP.TLS.validateSecrets("SPOUT_HTTP_TLS")...)
	p = append(p, s.validateCleartext()...)
	return p.orNil()
}

// WithReferences returns settings for [Settings.ValidateSecrets] and
// [Settings.Warnings] where it is only known which of the secret variables are
// given.
func (s Settings) WithReferences(given []string) Settings {
	for _, v := range variables {
		if v.Secret && slices.Contains(given, v.Name) {
			s.field(v).SetString("given")
		}
	}
	return s
}

func (s Settings) validateLimits() (p Problems) {
	if s.Batch.MaxBytes < 1 {
		p.add("SPOUT_BATCH_MAX_BYTES", s.Batch.MaxBytes.String(), "must be at least 1 byte")
	}
	if s.File.RecursionDepth < 0 || s.File.RecursionDepth > maxRecursionDepth {
		p.add("SPOUT_FILE_RECURSION_DEPTH", strconv.Itoa(s.File.RecursionDepth), fmt.Sprintf("must be from 0 to %d", maxRecursionDepth))
	}
	if s.Batch.MaxRecords < 0 {
		p.add("SPOUT_BATCH_MAX_RECORDS", strconv.Itoa(s.Batch.MaxRecords), "must not be negative; 0 means no limit")
	}
	if s.Batch.MaxFiles < 1 {
		p.add("SPOUT_BATCH_MAX_FILES", strconv.Itoa(s.Batch.MaxFiles), "must be at least 1")
	}
	if s.Batch.MaxAge.Std() < 10*time.Millisecond {
		p.add("SPOUT_BATCH_MAX_AGE", s.Batch.MaxAge.String(), "must be at least 10ms; a commit costs Pachyderm 20 ms and more")
	}
	if s.HTTPPort < 0 || s.HTTPPort > 65535 || slices.Contains(reservedPorts, s.HTTPPort) {
		p.add("SPOUT_HTTP_PORT", strconv.Itoa(s.HTTPPort), fmt.Sprintf("must be a port from 1 to 65535 that Pachyderm does not use in the pod (%v), or 0", reservedPorts))
	}
	return p
}

// maxRecursionDepth bounds the columns of types that contain themselves: each
// has all those below it.
const maxRecursionDepth = 10
