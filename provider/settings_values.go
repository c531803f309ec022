// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// leaves are the values of nested attributes by their dotted path, as
// batch.max_age. Objects are in it too.
type leaves map[string]attr.Value

func leavesOf(objects map[string]types.Object) leaves {
	l := leaves{}
	for name, object := range objects {
		l.add(name, object)
	}
	l.prune()
	return l
}

// leaves are those of the runner's settings: of all objects that are not the
// settings of a source, and of the chosen source.
func (m *spoutModel) leaves() leaves {
	objects := map[string]types.Object{}
	for name, object := range m.settingObjects() {
		objects[name] = *object
	}
	if source, object, ok := m.source(); ok {
		objects[source.name] = object
	}
	l := leavesOf(objects)
	l["output_branch"] = m.OutputBranch
	return l
}

// prune takes out objects in which an empty text says that they are not meant:
// a login without a mechanism, and references to secrets without a name.
func (l leaves) prune() {
	for object, attribute := range meantBy {
		if text, ok := l[object+"."+attribute].(types.String); !ok || !known(text) || text.ValueString() != "" {
			continue
		}
		maps.DeleteFunc(l, func(at string, _ attr.Value) bool { return at == object || strings.HasPrefix(at, object+".") })
	}
}

// meantBy are the texts without which an object says nothing, by objects.
var meantBy = func() map[string]string {
	all := map[string]string{}
	for _, v := range contract {
		switch object, name := cutAttribute(v.Attribute); {
		case v.Secret:
			all[v.Attribute] = "name"
		case v.Required && v.Kind == settings.Text && object != v.Source:
			all[object] = name
		}
	}
	return all
}()

func (l leaves) add(at string, v attr.Value) {
	l[at] = v
	if object, ok := v.(types.Object); ok {
		for name, child := range object.Attributes() {
			l.add(at+"."+name, child)
		}
	}
}

// unknown says whether the value at a path, or an object around it, is only
// known after apply.
func (l leaves) unknown(at string) bool {
	for {
		if v, ok := l[at]; ok {
			switch v.(type) {
			case types.List, types.Map:
				if !fullyKnown(v) {
					return true
				}
			default:
				if v.IsUnknown() {
					return true
				}
			}
		}
		dot := strings.LastIndexByte(at, '.')
		if dot < 0 {
			return false
		}
		at = at[:dot]
	}
}

// has says whether there is a known value at a path. The empty text is none.
func (l leaves) has(at string) bool {
	v, ok := l[at]
	if text, isText := v.(basetypes.StringValuable); isText {
		s, _ := text.ToStringValue(context.Background())
		ok = ok && s.ValueString() != ""
	}
	return ok && !v.IsNull() && !l.unknown(at)
}

// text renders the value at a path as a variable's value.
func (l leaves) text(at string) (string, bool) {
	if !l.has(at) {
		return "", false
	}
	switch v := l[at].(type) {
	case types.List:
		var parts []string
		for _, element := range v.Elements() {
			if s, ok := element.(types.String); ok {
				parts = append(parts, s.ValueString())
			}
		}
		return strings.Join(parts, ","), true
	case types.Map:
		if _, objects := isNamedObjects(v.Type(context.Background())); objects {
			return objectsText(v), true
		}
		return offsetsText(v), true
	case types.Int64:
		return fmt.Sprint(v.ValueInt64()), true
	case types.Bool:
		return fmt.Sprint(v.ValueBool()), true
	case basetypes.StringValuable:
		s, _ := v.ToStringValue(context.Background())
		return s.ValueString(), true
	}
	return "", false
}

// offsetsText renders offsets by topic and partition as their variable has them.
func offsetsText(topics types.Map) string {
	var entries []string
	for _, topic := range slices.Sorted(maps.Keys(topics.Elements())) {
		if partitions, ok := topics.Elements()[topic].(types.Map); ok {
			for _, partition := range slices.Sorted(maps.Keys(partitions.Elements())) {
				entries = append(entries, fmt.Sprintf("%s:%s=%s", topic, partition, partitions.Elements()[partition]))
			}
		}
	}
	return strings.Join(entries, ",")
}

// runnerSettings are the runner's settings, as the attributes have them.
type runnerSettings struct {
	settings.Settings
	err     error           // what is wrong with them
	given   []string        // secret variables that a Kubernetes secret is named for
	unknown map[string]bool // variables whose values are only known after apply
}

// readSettings reads the runner's settings out of the attributes.
func readSettings(l leaves, source string) runnerSettings {
	environ := []string{"SPOUT_SOURCE=" + source}
	r := runnerSettings{unknown: map[string]bool{}}
	for _, v := range contract {
		if v.Source != "" && v.Source != source || v.Attribute == "" {
			continue
		}
		if l.unknown(v.Attribute) {
			r.unknown[v.Name] = true
		}
		switch {
		case v.Secret:
			if l.has(v.Attribute) {
				r.given = append(r.given, v.Name)
			}
		case v.Kind == settings.Presence:
			if l.has(v.Attribute) {
				environ = append(environ, v.Name+"=true")
			}
		default:
			if text, ok := l.text(v.Attribute); ok {
				environ = append(environ, v.Name+"="+text)
			}
		}
	}
	r.Settings, r.err = settings.Parse(environ)
	return r
}

// mayVanish says whether a problem may be none once an unknown value is known.
func (r *runnerSettings) mayVanish(p settings.Problem) bool {
	return slices.ContainsFunc(append(p.With, p.Variable), func(variable string) bool { return r.unknown[variable] })
}

// problems reports what is wrong at the attributes that cause it. What may
// vanish once an unknown value is known is left out.
func (r *runnerSettings) problems(l leaves) (diags diag.Diagnostics) {
	for _, p := range append(problemsOf(r.err), problemsOf(r.WithReferences(r.given).ValidateSecrets())...) {
		if r.mayVanish(p) {
			continue
		}
		first, _, _ := strings.Cut(p.Variable, ",")
		v, _ := settings.VariableNamed(first)
		attribute := cmp.Or(v.Attribute, r.Source)
		if v.Required && l[attribute] != nil && l[attribute].IsNull() {
			continue // the schema says that it is required
		}
		if p.Login { // beside an attribute's error Terraform shows the line that sets it
			diags.AddError("Invalid "+attribute, problemText(attribute, p))
			continue
		}
		diags.AddAttributeError(attributePath(attribute), "Invalid "+attribute, problemText(attribute, p))
	}
	return diags
}

// warnings warn of what is allowed all the same.
func (r *runnerSettings) warnings() (diags diag.Diagnostics) {
	for _, p := range r.WithReferences(r.given).Warnings() {
		if attribute, ok := attributeOf(p.Variable); ok && !r.mayVanish(p) {
			diags.AddAttributeWarning(attributePath(attribute), "Not encrypted", problemText(attribute, p))
		}
	}
	return diags
}

func problemsOf(err error) settings.Problems {
	var problems settings.Problems
	errors.As(err, &problems)
	return problems
}

func problemText(attribute string, p settings.Problem) string {
	fix := strings.TrimSuffix(settings.WithAttributes(p.Fix), ".") + "."
	if p.Value == "" {
		return attribute + " " + fix
	}
	return fmt.Sprintf("%s = %q %s", attribute, p.Value, fix)
}

// secretsOf reads the references to Kubernetes secrets out of the attributes.
func secretsOf(l leaves) []pachyderm.Secret {
	var secrets []pachyderm.Secret
	for _, v := range contract {
		if !v.Secret {
			continue
		}
		name, ok := l.text(v.Attribute + ".name")
		if !ok {
			continue
		}
		key, ok := l.text(v.Attribute + "." + v.Key)
		if !ok {
			key = v.DefaultKey
		}
		secrets = append(secrets, pachyderm.Secret{Name: name, Key: key, EnvVar: v.Name})
	}
	return secrets
}

// written is the reverse: what of the attributes stands for the runner's
// variables and secrets.
type written struct {
	source  string
	texts   map[string]string // by dotted path
	present map[string]bool   // objects that are there, even if they are empty
}

// attributesFor finds the attributes. It is not ok if they cannot say it.
func attributesFor(env map[string]string, secrets []pachyderm.Secret, outputBranch string) (w written, ok bool) {
	var environ []string
	for name, value := range env {
		if settings.IsSecret(name) {
			return w, false // a secret in plain text, set by hand
		}
		environ = append(environ, name+"="+value)
	}
	parsed, err := settings.Parse(environ)
	if err != nil || parsed.OutputBranch != outputBranch {
		return w, false
	}
	w = written{source: parsed.Source, texts: map[string]string{}, present: map[string]bool{parsed.Source: true}}
	rendered := parsed.Environment()
	for _, v := range contract {
		value, ok := rendered[v.Name]
		switch {
		case !ok || v.Attribute == "":
		case v.Kind == settings.Presence:
			w.present[v.Attribute] = true
		default:
			w.texts[v.Attribute] = value
		}
	}
	return w, w.refer(secrets) && w.complete()
}

// refer writes the references to secrets. It is not ok if the attributes cannot
// say them: all variables of a secret are of one, and none is left out.
func (w written) refer(secrets []pachyderm.Secret) bool {
	for _, secret := range secrets {
		v, ok := settings.VariableNamed(secret.EnvVar)
		if !ok || !v.Secret {
			return false
		}
		if name, ok := w.texts[v.Attribute+".name"]; ok && name != secret.Name {
			return false
		}
		w.texts[v.Attribute+".name"] = secret.Name
		if secret.Key != v.DefaultKey {
			w.texts[v.Attribute+"."+v.Key] = secret.Key
		}
	}
	wanted := 0
	for _, v := range contract {
		if _, ok := w.texts[v.Attribute+".name"]; v.Secret && ok {
			wanted++
		}
	}
	return len(secrets) == wanted
}

// complete says whether each object has what it must have.
func (w written) complete() bool {
	for _, v := range contract {
		object, _ := cutAttribute(v.Attribute)
		if _, ok := w.texts[v.Attribute]; v.Required && !v.Secret && !ok && w.has(object) {
			return false
		}
	}
	for _, g := range objects {
		if object, _ := cutAttribute(g.Attribute); g.Required && w.has(object) && !w.has(g.Attribute) {
			return false
		}
	}
	return true
}

// has says whether an object is there.
func (w written) has(object string) bool {
	if w.present[object] {
		return true
	}
	for at := range w.texts {
		if strings.HasPrefix(at, object+".") {
			return true
		}
	}
	return false
}

// objectFrom builds the object at a path from the texts of what is below it.
// It is null if there is nothing, unless present says otherwise.
func objectFrom(ctx context.Context, t types.ObjectType, at string, texts map[string]string, present map[string]bool) (types.Object, diag.Diagnostics) {
	var diags diag.Diagnostics
	values, anything := map[string]attr.Value{}, present[at]
	for name, attribute := range t.AttrTypes {
		below := at + "." + name
		if nested, ok := attribute.(types.ObjectType); ok {
			object, d := objectFrom(ctx, nested, below, texts, present)
			diags.Append(d...)
			values[name], anything = object, anything || !object.IsNull()
			continue
		}
		text, ok := texts[below]
		v, err := attribute.ValueFromTerraform(ctx, terraformValue(ctx, attribute, text, ok))
		if err != nil {
			diags.AddError("Cannot read "+below, err.Error())
		}
		values[name], anything = v, anything || ok
	}
	if diags.HasError() || !anything {
		return types.ObjectNull(t.AttrTypes), diags
	}
	return types.ObjectValue(t.AttrTypes, values)
}

func terraformValue(ctx context.Context, t attr.Type, text string, ok bool) tftypes.Value {
	tf := t.TerraformType(ctx)
	if fields, objects := isNamedObjects(t); objects && ok {
		return objectsValue(ctx, fields, text)
	}
	switch {
	case !ok:
		return tftypes.NewValue(tf, nil)
	case tf.Is(tftypes.Number):
		n, _, err := big.ParseFloat(text, 10, 64, big.ToNearestEven)
		if err != nil {
			return tftypes.NewValue(tf, nil)
		}
		return tftypes.NewValue(tf, n)
	case tf.Is(offsetsType):
		return offsetsValue(text)
	case tf.Is(tftypes.Bool):
		return tftypes.NewValue(tf, text == "true")
	case tf.Is(tftypes.List{ElementType: tftypes.String}):
		var list []tftypes.Value
		for part := range strings.SplitSeq(text, ",") {
			list = append(list, tftypes.NewValue(tftypes.String, part))
		}
		return tftypes.NewValue(tf, list)
	}
	return tftypes.NewValue(tf, text)
}

var offsetsType = tftypes.Map{ElementType: tftypes.Map{ElementType: tftypes.Number}}

// offsetsValue is the reverse of offsetsText.
func offsetsValue(text string) tftypes.Value {
	var offsets settings.StartOffsets
	if offsets.UnmarshalText([]byte(text)) != nil {
		return tftypes.NewValue(offsetsType, nil)
	}
	topics := map[string]tftypes.Value{}
	for topic, partitions := range offsets {
		next := map[string]tftypes.Value{}
		for partition, offset := range partitions {
			next[strconv.Itoa(int(partition))] = tftypes.NewValue(tftypes.Number, offset)
		}
		topics[topic] = tftypes.NewValue(offsetsType.ElementType, next)
	}
	return tftypes.NewValue(offsetsType, topics)
}
