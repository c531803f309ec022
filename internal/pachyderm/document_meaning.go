// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

// What pachd fills in where a specification says nothing.
const (
	defaultImage         = "ubuntu:20.04"
	defaultReprocessSpec = "until_success"
	defaultDatumTries    = "3"
)

// Means says whether have, which may be a server's, is what d asks for as the
// pipeline id: in whatever order and spelling, with zeros or without, and with
// what pachd fills in or without.
func (d *Document) Means(have *Document, id PipelineID) bool {
	a, b := d.meaning(id), have.meaning(id)
	forget(a, b)
	if have.filledIn {
		withoutFilledIn(a, b)
	}
	sameQuantities(a)
	sameQuantities(b)
	return reflect.DeepEqual(a, b)
}

// JSON is the specification, on one line, with sorted camelCase names, without
// the pipeline's name and without what pachd filled in.
func (d *Document) JSON(id PipelineID) (string, error) {
	fields := d.meaning(id)
	if d.filledIn {
		withoutFilledIn(nil, fields)
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(fields)
	return strings.TrimSuffix(buffer.String(), "\n"), err
}

// meaning returns the fields in one of the ways that they can be written.
func (d *Document) meaning(id PipelineID) map[string]any {
	var buffer bytes.Buffer
	var fields map[string]any
	// What was read from JSON can be written as such.
	if (&jsonpb.Marshaler{}).Marshal(&buffer, d.request) == nil {
		decoder := json.NewDecoder(&buffer)
		decoder.UseNumber()
		if decoder.Decode(&fields) != nil {
			fields = nil
		}
	}
	if fields == nil {
		fields = map[string]any{}
	}
	graft(fields, d.fields, reflect.TypeFor[pps.CreatePipelineRequest]())
	tidy(fields, reflect.TypeFor[pps.CreatePipelineRequest]())
	withoutDefaults(fields, id)
	for _, name := range []string{"podSpec", "podPatch"} {
		if text, ok := fields[name].(string); ok {
			if fields[name] = CanonicalPatch(text); fields[name] == "" {
				delete(fields, name)
			}
		}
	}
	return fields
}

// graft puts the fields that 2.6 does not know beside the others.
func graft(to, from map[string]any, t reflect.Type) {
	byName := fieldsOf(t)
	for name, v := range from {
		f, known := byName[name]
		switch {
		case !known:
			to[name] = v
		case f.message == nil || v == nil:
		case f.repeated:
			list, _ := v.([]any)
			old, _ := to[name].([]any)
			for n, element := range list {
				fields, _ := element.(map[string]any)
				if inner, ok := at(old, n).(map[string]any); ok {
					graft(inner, fields, f.message)
				}
			}
		default:
			if fields, ok := v.(map[string]any); ok {
				inner, _ := to[name].(map[string]any)
				if inner == nil {
					inner = map[string]any{}
				}
				if graft(inner, fields, f.message); len(inner) > 0 {
					to[name] = inner
				}
			}
		}
	}
}

func at(list []any, n int) any {
	if n < len(list) {
		return list[n]
	}
	return nil
}

// meantEmpty are messages that mean something without a field in them: a
// request for no resources, a service as good as any.
var meantEmpty = []string{"resourceRequests", "resourceLimits", "sidecarResourceRequests", "sidecarResourceLimits", "spout", "service"}

// tidy removes zeros, and writes wide numbers as numbers.
func tidy(fields map[string]any, t reflect.Type) {
	byName := fieldsOf(t)
	for name, v := range fields {
		f, known := byName[name]
		switch value := v.(type) {
		case map[string]any:
			if f.message != nil {
				tidy(value, f.message)
			}
		case []any:
			for n, element := range value {
				if inner, ok := element.(map[string]any); ok && f.message != nil {
					tidy(inner, f.message)
				} else if text, ok := element.(string); ok && f.wide {
					value[n] = json.Number(text)
				}
			}
		case string:
			if f.wide {
				v = json.Number(value)
				fields[name] = v
			}
		}
		if isZero(v) && (!known || !slices.Contains(meantEmpty, name)) {
			delete(fields, name)
		}
	}
}

// withoutDefaults removes what pachd takes for granted in any cluster.
func withoutDefaults(fields map[string]any, id PipelineID) {
	drop(fields, "outputBranch", DefaultOutputBranch)
	drop(fields, "reprocessSpec", defaultReprocessSpec)
	for _, service := range []map[string]any{inside(fields, "service"), inside(fields, "spout", "service")} {
		drop(service, "type", DefaultServiceType)
		delete(service, "ip") // whatever was asked for, pachd shows the one that Kubernetes gave
	}
	parallelism := inside(fields, "parallelismSpec")
	if drop(parallelism, "constant", json.Number("1")); parallelism != nil && len(parallelism) == 0 {
		delete(fields, "parallelismSpec")
	}
	visit(inside(fields, "input"), func(input map[string]any) {
		if in := inside(input, "pfs"); in != nil {
			drop(in, "project", id.Project)
			drop(in, "repoType", pfs.UserRepoType)
			trigger := inside(in, "trigger")
			if drop(trigger, "branch", "master"); trigger == nil {
				drop(in, "branch", "master")
			} else if branch, ok := in["branch"].(string); ok && strings.HasPrefix(branch, id.Name+"-trigger-") {
				delete(in, "branch")
			}
			if repo, ok := in["repo"].(string); ok {
				drop(in, "name", repo)
			}
			if glob, ok := in["glob"].(string); ok {
				in["glob"] = path.Join("/", glob)
			}
		}
		if in := inside(input, "cron"); in != nil {
			drop(in, "project", id.Project)
			if name, ok := in["name"].(string); ok {
				drop(in, "repo", id.Name+"_"+name)
			}
		}
		for _, kind := range inputLists {
			if list, ok := input[kind].([]any); ok {
				slices.SortStableFunc(list, func(a, b any) int { return cmp.Compare(inputName(a), inputName(b)) })
			}
		}
	})
}

// withoutFilledIn removes from b, the server's answer, what a does not say and
// pachd fills in, be it the cluster's defaults as they come.
func withoutFilledIn(a, b map[string]any) {
	if _, asked := a["datumTries"]; !asked {
		drop(b, "datumTries", json.Number(defaultDatumTries))
	}
	if _, asked := inside(a, "transform")["image"]; !asked {
		drop(inside(b, "transform"), "image", defaultImage)
	}
	for _, name := range []string{"resourceRequests", "sidecarResourceRequests"} {
		have, asked := inside(b, name), inside(a, name)
		whole := len(have) >= len(defaultRequests)
		for part, v := range defaultRequests {
			whole = whole && (have[part] == v || asked[part] != nil)
		}
		if !whole { // a server that fills in one of them fills in all
			continue
		}
		for part := range defaultRequests {
			if _, ok := asked[part]; !ok {
				delete(have, part)
			}
		}
		if len(have) == 0 && asked == nil {
			delete(b, name)
		}
	}
}

// defaultRequests are those of a cluster whose defaults nobody changed, from 2.8 on.
var defaultRequests = map[string]any{"cpu": json.Number("1"), "memory": "256Mi", "disk": "1Gi"}

// forget removes from b when a cron input began, if a does not say when.
func forget(a, b map[string]any) {
	started := map[string]bool{}
	visit(inside(a, "input"), func(input map[string]any) {
		if cron := inside(input, "cron"); cron != nil {
			name, _ := cron["name"].(string)
			_, started[name] = cron["start"]
		}
	})
	visit(inside(b, "input"), func(input map[string]any) {
		if cron := inside(input, "cron"); cron != nil {
			if name, _ := cron["name"].(string); !started[name] {
				delete(cron, "start")
			}
		}
	})
}

var inputLists = []string{"cross", "union", "join", "group"}

// visit calls fn for an input and all in it, the inner ones first.
func visit(input map[string]any, fn func(map[string]any)) {
	if input == nil {
		return
	}
	for _, kind := range inputLists {
		list, _ := input[kind].([]any)
		for _, element := range list {
			inner, _ := element.(map[string]any)
			visit(inner, fn)
		}
	}
	fn(input)
}

// inputName is what pachd sorts inputs by.
func inputName(v any) string {
	input, _ := v.(map[string]any)
	for _, kind := range []string{"pfs", "cron"} {
		if in := inside(input, kind); in != nil {
			for _, key := range []string{"name", "repo"} {
				if name, ok := in[key].(string); ok {
					return name
				}
			}
		}
	}
	for _, kind := range inputLists {
		if list, ok := input[kind].([]any); ok {
			return inputName(at(list, 0))
		}
	}
	return ""
}

func inside(fields map[string]any, names ...string) map[string]any {
	for _, name := range names {
		fields, _ = fields[name].(map[string]any)
	}
	return fields
}

func drop(fields map[string]any, name string, value any) {
	if v, ok := fields[name]; ok && v == value {
		delete(fields, name)
	}
}
