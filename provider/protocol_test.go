// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/lab/pachtest"
)

// object is a configuration: attributes by name, nested ones too.
type object = map[string]any

// unknown is a value that is only known after apply.
type unknown struct{}

// instance is one resource, managed over the plugin protocol within the
// process: what Terraform's own binary does, without it. It is for tables of
// many cases; that Terraform agrees is what the tests of whole lifecycles show.
type instance struct {
	t        testing.TB
	ctx      context.Context
	server   tfprotov6.ProviderServer
	schemas  *tfprotov6.GetProviderSchemaResponse
	typeName string
	schema   *tfprotov6.Schema
	kind     tftypes.Type
	state    tftypes.Value
	id       *tfprotov6.ResourceIdentityData
}

func newInstance(t testing.TB, s *pachtest.Server, options ...Option) *instance {
	t.Helper()
	return newInstanceOf(t, object{"address": s.Address()}, options...)
}

func newInstanceOf(t testing.TB, config object, options ...Option) *instance {
	t.Helper()
	i, diagnostics := tryInstanceOf(t, config, options...)
	if text := errorsIn(diagnostics); text != "" {
		t.Fatal(text)
	}
	return i
}

func tryInstanceOf(t testing.TB, config object, options ...Option) (*instance, []*tfprotov6.Diagnostic) {
	t.Helper()
	options = append([]Option{WithTiming(quickWait, quickRetry), WithGetenv(noEnvironment), WithConfiguration(rand.Text())}, options...)
	i := &instance{t: t, ctx: context.Background(), server: Server(testVersion, options...)()}
	schemas, err := i.server.GetProviderSchema(i.ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	i.schemas = schemas
	i = i.as("pachyderm_spout")
	configured, err := i.server.ConfigureProvider(i.ctx, &tfprotov6.ConfigureProviderRequest{TerraformVersion: "1.14.0",
		Config: i.dynamic(schemas.Provider.ValueType(), valueOf(t, schemas.Provider.ValueType(), config))})
	if err != nil {
		t.Fatal(err)
	}
	return i, configured.Diagnostics
}

// as is another resource, of the same provider.
func (i *instance) as(typeName string) *instance {
	i.t.Helper()
	other := *i
	other.typeName, other.schema = typeName, i.schemas.ResourceSchemas[typeName]
	if other.schema == nil {
		i.t.Fatalf("there is no resource %s", typeName)
	}
	other.kind = other.schema.ValueType()
	other.state, other.id = tftypes.NewValue(other.kind, nil), nil
	return &other
}

// read returns what a data source says.
func (i *instance) read(typeName string, config object) (object, []*tfprotov6.Diagnostic) {
	i.t.Helper()
	schema := i.schemas.DataSourceSchemas[typeName]
	if schema == nil {
		i.t.Fatalf("there is no data source %s", typeName)
	}
	kind := schema.ValueType()
	dynamic := i.dynamic(kind, valueOf(i.t, kind, config))
	validated, err := i.server.ValidateDataResourceConfig(i.ctx, &tfprotov6.ValidateDataResourceConfigRequest{TypeName: typeName, Config: dynamic})
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(validated.Diagnostics) != "" {
		return nil, validated.Diagnostics
	}
	read, err := i.server.ReadDataSource(i.ctx, &tfprotov6.ReadDataSourceRequest{TypeName: typeName, Config: dynamic})
	if err != nil {
		i.t.Fatal(err)
	}
	diagnostics := append(validated.Diagnostics, read.Diagnostics...)
	if read.State == nil || errorsIn(diagnostics) != "" {
		return nil, diagnostics
	}
	v, err := read.State.Unmarshal(kind)
	if err != nil {
		i.t.Fatal(err)
	}
	values, _ := plain(i.t, v).(object)
	return values, diagnostics
}

// plan returns what would be applied, with errors and warnings.
func (i *instance) plan(config object) (*tfprotov6.PlanResourceChangeResponse, []*tfprotov6.Diagnostic) {
	i.t.Helper()
	value := valueOf(i.t, i.kind, config)
	validated, err := i.server.ValidateResourceConfig(i.ctx, &tfprotov6.ValidateResourceConfigRequest{
		TypeName: i.typeName, Config: i.dynamic(i.kind, value),
		ClientCapabilities: &tfprotov6.ValidateResourceConfigClientCapabilities{WriteOnlyAttributesAllowed: true}})
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(validated.Diagnostics) != "" {
		return nil, validated.Diagnostics
	}
	planned, err := i.server.PlanResourceChange(i.ctx, &tfprotov6.PlanResourceChangeRequest{
		TypeName: i.typeName, Config: i.dynamic(i.kind, value), PriorState: i.dynamic(i.kind, i.state), PriorIdentity: i.id,
		ProposedNewState: i.dynamic(i.kind, proposed(i.t, i.schema.Block.Attributes, i.kind, i.state, value))})
	if err != nil {
		i.t.Fatal(err)
	}
	return planned, append(validated.Diagnostics, planned.Diagnostics...)
}

// apply plans and applies, and returns what was said.
func (i *instance) apply(config object) []*tfprotov6.Diagnostic {
	i.t.Helper()
	planned, diagnostics := i.plan(config)
	if errorsIn(diagnostics) != "" {
		return diagnostics
	}
	if len(planned.RequiresReplace) > 0 {
		i.t.Fatalf("the plan replaces: %v", planned.RequiresReplace)
	}
	return append(diagnostics, i.change(i.dynamic(i.kind, valueOf(i.t, i.kind, config)), planned.PlannedState)...)
}

// planDestroy plans to destroy.
func (i *instance) planDestroy() []*tfprotov6.Diagnostic {
	i.t.Helper()
	null := i.dynamic(i.kind, tftypes.NewValue(i.kind, nil))
	planned, err := i.server.PlanResourceChange(i.ctx, &tfprotov6.PlanResourceChangeRequest{
		TypeName: i.typeName, Config: null, PriorState: i.dynamic(i.kind, i.state), PriorIdentity: i.id, ProposedNewState: null})
	if err != nil {
		i.t.Fatal(err)
	}
	return planned.Diagnostics
}

// destroy destroys, whatever its plan says: that was made before.
func (i *instance) destroy() []*tfprotov6.Diagnostic {
	i.t.Helper()
	null := i.dynamic(i.kind, tftypes.NewValue(i.kind, nil))
	return i.change(null, null)
}

func (i *instance) change(config, planned *tfprotov6.DynamicValue) []*tfprotov6.Diagnostic {
	i.t.Helper()
	applied, err := i.server.ApplyResourceChange(i.ctx, &tfprotov6.ApplyResourceChangeRequest{
		TypeName: i.typeName, Config: config, PriorState: i.dynamic(i.kind, i.state), PlannedState: planned, PlannedIdentity: i.id})
	if err != nil {
		i.t.Fatal(err)
	}
	i.state = i.value(applied.NewState)
	i.id = applied.NewIdentity
	if !i.state.IsNull() && !i.state.IsFullyKnown() {
		i.t.Fatalf("the state has unknown values: %s", i.state)
	}
	return applied.Diagnostics
}

// refresh reads.
func (i *instance) refresh() []*tfprotov6.Diagnostic {
	i.t.Helper()
	read, err := i.server.ReadResource(i.ctx, &tfprotov6.ReadResourceRequest{
		TypeName: i.typeName, CurrentState: i.dynamic(i.kind, i.state), CurrentIdentity: i.id})
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(read.Diagnostics) == "" {
		i.state, i.id = i.value(read.NewState), read.NewIdentity
	}
	return read.Diagnostics
}

// importID imports and reads.
func (i *instance) importID(id string, identity object) []*tfprotov6.Diagnostic {
	i.t.Helper()
	request := &tfprotov6.ImportResourceStateRequest{TypeName: i.typeName, ID: id}
	if identity != nil {
		identities, err := i.server.GetResourceIdentitySchemas(i.ctx, &tfprotov6.GetResourceIdentitySchemasRequest{})
		if err != nil {
			i.t.Fatal(err)
		}
		kind := identities.IdentitySchemas[i.typeName].ValueType()
		request.Identity = &tfprotov6.ResourceIdentityData{IdentityData: i.dynamic(kind, valueOf(i.t, kind, identity))}
	}
	imported, err := i.server.ImportResourceState(i.ctx, request)
	if err != nil {
		i.t.Fatal(err)
	}
	if errorsIn(imported.Diagnostics) != "" {
		return imported.Diagnostics
	}
	i.state, i.id = i.value(imported.ImportedResources[0].State), imported.ImportedResources[0].Identity
	return append(imported.Diagnostics, i.refresh()...)
}

// changes says whether applying config would change something.
func (i *instance) changes(config object) bool {
	i.t.Helper()
	planned, diagnostics := i.plan(config)
	if text := errorsIn(diagnostics); text != "" {
		i.t.Fatal(text)
	}
	return !i.value(planned.PlannedState).Equal(i.state)
}

// must fails the test for an error.
func (i *instance) must(diagnostics []*tfprotov6.Diagnostic) {
	i.t.Helper()
	if text := errorsIn(diagnostics); text != "" {
		i.t.Fatal(text)
	}
}

// get returns the state's value at a dotted path, or nil for null.
func (i *instance) get(at string) any {
	i.t.Helper()
	v := i.state
	for name := range strings.SplitSeq(at, ".") {
		if v.IsNull() {
			return nil
		}
		var children map[string]tftypes.Value
		if err := v.As(&children); err != nil {
			i.t.Fatal(err)
		}
		v = children[name]
	}
	return plain(i.t, v)
}

func (i *instance) dynamic(kind tftypes.Type, v tftypes.Value) *tfprotov6.DynamicValue {
	i.t.Helper()
	d, err := tfprotov6.NewDynamicValue(kind, v)
	if err != nil {
		i.t.Fatal(err)
	}
	return &d
}

func (i *instance) value(d *tfprotov6.DynamicValue) tftypes.Value {
	i.t.Helper()
	v, err := d.Unmarshal(i.kind)
	if err != nil {
		i.t.Fatal(err)
	}
	return v
}

// errorsIn and warningsIn return what was said, one line each.
func errorsIn(diagnostics []*tfprotov6.Diagnostic) string {
	return said(diagnostics, tfprotov6.DiagnosticSeverityError)
}

func warningsIn(diagnostics []*tfprotov6.Diagnostic) string {
	return said(diagnostics, tfprotov6.DiagnosticSeverityWarning)
}

func said(diagnostics []*tfprotov6.Diagnostic, severity tfprotov6.DiagnosticSeverity) string {
	var lines []string
	for _, d := range diagnostics {
		if d.Severity == severity {
			at := ""
			if d.Attribute != nil {
				at = d.Attribute.String() + ": "
			}
			lines = append(lines, at+d.Summary+": "+d.Detail)
		}
	}
	return strings.Join(lines, "\n")
}

// valueOf makes a value of a type out of Go's own.
func valueOf(t testing.TB, kind tftypes.Type, v any) tftypes.Value {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return tftypes.NewValue(kind, nil)
	case unknown:
		return tftypes.NewValue(kind, tftypes.UnknownValue)
	case object:
		children := map[string]tftypes.Value{}
		switch kind := kind.(type) {
		case tftypes.Object:
			for name, child := range kind.AttributeTypes {
				children[name] = valueOf(t, child, v[name])
			}
			for name := range v {
				if kind.AttributeTypes[name] == nil {
					t.Fatalf("there is no attribute %q", name)
				}
			}
		case tftypes.Map:
			for name, child := range v {
				children[name] = valueOf(t, kind.ElementType, child)
			}
		}
		return tftypes.NewValue(kind, children)
	case []any:
		list := []tftypes.Value{}
		for _, element := range v {
			list = append(list, valueOf(t, elementType(t, kind), element))
		}
		return tftypes.NewValue(kind, list)
	case int:
		return valueOf(t, kind, float64(v))
	case float64:
		if kind.Is(tftypes.String) { // as Terraform converts it
			return tftypes.NewValue(kind, strconv.FormatFloat(v, 'f', -1, 64))
		}
		return tftypes.NewValue(kind, big.NewFloat(v))
	}
	return tftypes.NewValue(kind, v)
}

func elementType(t testing.TB, kind tftypes.Type) tftypes.Type {
	t.Helper()
	switch kind := kind.(type) {
	case tftypes.List:
		return kind.ElementType
	case tftypes.Set:
		return kind.ElementType
	}
	t.Fatalf("%s has no elements", kind)
	return nil
}

// plain is the reverse of valueOf.
func plain(t testing.TB, v tftypes.Value) any {
	t.Helper()
	if v.IsNull() {
		return nil
	}
	var text string
	var yes bool
	var number big.Float
	var list []tftypes.Value
	var children map[string]tftypes.Value
	switch {
	case v.As(&text) == nil:
		return text
	case v.As(&yes) == nil:
		return yes
	case v.As(&number) == nil:
		f, _ := number.Float64()
		return f
	case v.As(&list) == nil:
		out := []any{}
		for _, element := range list {
			out = append(out, plain(t, element))
		}
		return out
	case v.As(&children) == nil:
		out := object{}
		for name, child := range children {
			if p := plain(t, child); p != nil {
				out[name] = p
			}
		}
		return out
	}
	t.Fatalf("cannot read %s", v)
	return nil
}

// proposed is what Terraform proposes to plan: the configuration, with the
// state's values where an attribute is computed and not configured.
func proposed(t testing.TB, attributes []*tfprotov6.SchemaAttribute, kind tftypes.Type, prior, config tftypes.Value) tftypes.Value {
	t.Helper()
	if config.IsNull() || !config.IsKnown() {
		return config
	}
	var before, asked map[string]tftypes.Value
	if err := config.As(&asked); err != nil {
		t.Fatal(err)
	}
	if !prior.IsNull() {
		if err := prior.As(&before); err != nil {
			t.Fatal(err)
		}
	}
	result := map[string]tftypes.Value{}
	for _, a := range attributes {
		v := asked[a.Name]
		old, ok := before[a.Name]
		if !ok {
			old = tftypes.NewValue(v.Type(), nil)
		}
		switch {
		case v.IsNull() && a.Computed:
			v = old
		case a.NestedType != nil && a.NestedType.Nesting == tfprotov6.SchemaObjectNestingModeSingle:
			v = proposed(t, a.NestedType.Attributes, v.Type(), old, v)
		}
		result[a.Name] = v
	}
	return tftypes.NewValue(kind, result)
}

// merged is a configuration with changes: paths and values, nil to leave out.
func merged(base object, changes object) object {
	out := object{}
	for k, v := range base {
		out[k] = v
	}
	for _, k := range slices.Sorted(maps.Keys(changes)) { // what is in an object after the object
		v := changes[k]
		name, rest, nested := strings.Cut(k, ".")
		if !nested {
			out[k] = v
			continue
		}
		inner, _ := out[name].(object)
		out[name] = merged(inner, object{rest: v})
	}
	return out
}

func kafkaSpout(changes object) object {
	return merged(object{"name": "orders", "kafka": object{"brokers": []any{"kafka:9092"}, "topics": []any{"orders"}}}, changes)
}

func postgresSpout(changes object) object {
	return merged(object{"name": "orders", "postgres": object{"host": "127.0.0.1", "database": "shop", "user": "reader", "slot": "orders", "tables": []any{"orders"}}}, changes)
}

// sourceSpouts are the smallest spouts of each source, by its attribute.
var sourceSpouts = map[string]func(changes object) object{
	"kafka":     kafkaSpout,
	"nats":      natsSpout,
	"webhook":   webhookSpout,
	"rabbitmq":  rabbitMQSpout,
	"postgres":  postgresSpout,
	"transform": transformSpout,
}

func natsSpout(changes object) object {
	return merged(object{"name": "orders", "nats": object{"servers": []any{"127.0.0.1:4222"}, "stream": "ORDERS"}}, changes)
}

func rabbitMQSpout(changes object) object {
	return merged(object{"name": "orders", "rabbitmq": object{"addresses": []any{"127.0.0.1:5672"}, "queues": []any{"orders"}, "credentials_secret": object{"name": "kafka-user"}}}, changes)
}

// spoutWith is the smallest spout that can have an attribute.
func spoutWith(attribute string) func(changes object) object {
	name, _, _ := strings.Cut(attribute, ".")
	if spout, ok := sourceSpouts[name]; ok {
		return spout
	}
	return kafkaSpout
}

func transformSpout(changes object) object {
	return merged(object{"name": "orders", "transform": object{"image": "myaccount/myimage:0.1", "cmd": []any{"go", "run", "./main.go"}}}, changes)
}

func contains(text string, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return fmt.Errorf("%q is not in:\n%s", part, text)
		}
	}
	return nil
}
