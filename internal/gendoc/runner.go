// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

//go:embed runner.md.tmpl
var runnerGuide string

// section is a table of variables that belong together.
type section struct {
	Title, object string
	Variables     []settings.Variable
}

// writeRunnerGuide writes docs/guides/runner.md.
func writeRunnerGuide(w io.Writer) error {
	guide, err := template.New("runner").Funcs(template.FuncMap{"cell": cell, "code": code}).Parse(runnerGuide)
	if err != nil {
		return err
	}
	spec, err := pipelineSpec()
	if err != nil {
		return err
	}
	return guide.Execute(w, map[string]any{"Sections": sections(settings.Variables()), "Spec": spec})
}

// sections sorts the variables by the object of attributes that they are in.
// What is in none is general, as is what is the runner's own.
func sections(variables []settings.Variable) []section {
	const general = "runner"
	out := []section{{object: general}}
	for _, g := range settings.Groups() {
		switch {
		case g.Attribute == general:
			out[0].Title = g.Title
		case g.Root:
			out = append(out, section{Title: g.Title, object: g.Attribute})
		}
	}
	for _, v := range variables {
		object, _, _ := strings.Cut(v.Attribute, ".")
		at := max(0, slices.IndexFunc(out, func(s section) bool { return s.object == object }))
		out[at].Variables = append(out[at].Variables, v)
	}
	return out
}

// cell makes text fit into a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n* ", "<br>", "\n", " ", "<", "&lt;").Replace(text)
}

// code is cell for a value that stands for itself.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// pipelineSpec is an example of a spout that was not made by Terraform. Its
// environment is written by the code that the provider uses.
func pipelineSpec() (string, error) {
	s := settings.Default()
	s.Kafka.Brokers = []string{"kafka.streaming.svc:9093"}
	s.Kafka.Topics = []string{"orders"}
	s.Kafka.TLS.Enabled = true
	s.Kafka.SASL.Mechanism = "scram-sha-512"
	s.File.Compression = "zstd"
	type object = map[string]any
	spec, err := json.MarshalIndent(object{
		"pipeline": object{"name": "orders"},
		"spout":    object{},
		"transform": object{
			"image": "registry.example/spout-runner:VERSION",
			"cmd":   []string{"/spout-runner"},
			"env":   s.Environment(),
			"secrets": []object{
				{"name": "kafka-login", "key": "username", "env_var": "SPOUT_KAFKA_SASL_USERNAME"},
				{"name": "kafka-login", "key": "password", "env_var": "SPOUT_KAFKA_SASL_PASSWORD"},
			},
		},
	}, "", "  ")
	return string(spec), err
}
