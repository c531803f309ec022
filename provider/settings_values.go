// SPDX-License-Identifier: Apache-2.0

package provider

import (
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
// kafka.batch.max_age. Objects are in it too.
type leaves map[string]attr.Value

func leavesOf(objects map[string]types.Object) leaves {
	l := leaves{}
	for name, object := range objects {
		l.add(name, object)
	}
	l.prune()
	return l
}

// prune takes out objects in which an empty text says that they are not meant:
// a login without a mechanism, and references to secrets without a name.
func (l leaves) prune() {
	meant := map[string]string{"kafka.sasl": "mechanism"}
	for _, s := range settingSecrets {
		meant[s.secret] = "name"
	}
	for object, attribute := range meant {
		if text, ok := l[object+"."+attribute].(types.String); !ok || !known(text) || text.ValueString() != "" {
			continue
		}
		maps.DeleteFunc(l, func(at string, _ attr.Value) bool { return at == object || strings.HasPrefix(at, object+".") })
	}
}

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
			if v.IsUnknown() {
				return true
			}
			switch v.(type) {
			case types.List, types.Map:
				if value, err := v.ToTerraformValue(context.Background()); err != nil || !value.IsFullyKnown() {
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

func readSettings(l leaves, outputBranch types.String) runnerSettings {
	var environ []string
	r := runnerSettings{unknown: map[string]bool{"SPOUT_OUTPUT_BRANCH": outputBranch.IsUnknown(), "SPOUT_KAFKA_TLS": l.unknown("kafka.tls")}}
	for _, s := range settingAttributes {
		if text, ok := l.text(s.attribute); ok {
			environ = append(environ, s.variable+"="+text)
		}
		r.unknown[s.variable] = l.unknown(s.attribute)
	}
	if !outputBranch.IsUnknown() {
		environ = append(environ, "SPOUT_OUTPUT_BRANCH="+outputBranch.ValueString())
	}
	if l.has("kafka.tls") {
		environ = append(environ, "SPOUT_KAFKA_TLS=true")
	}
	r.Settings, r.err = settings.Parse(environ)
	r.given = givenSecrets(l, r.unknown)
	return r
}

// mayVanish says whether a problem may be none once an unknown value is known.
func (r *runnerSettings) mayVanish(p settings.Problem) bool {
	return slices.ContainsFunc(append(p.With, p.Variable), func(variable string) bool { return r.unknown[variable] })
}

// settingsOf reads the runner's settings out of the attributes. Problems are
// reported at the attributes that cause them; those that may vanish once an
// unknown value is known are left out.
func settingsOf(l leaves, outputBranch types.String) (settings.Settings, diag.Diagnostics) {
	r := readSettings(l, outputBranch)
	var diags diag.Diagnostics
	for _, p := range append(problemsOf(r.err), problemsOf(r.WithReferences(r.given).ValidateSecrets())...) {
		if r.mayVanish(p) {
			continue
		}
		attribute, ok := attributeOf(p.Variable)
		if !ok {
			attribute = "kafka"
		}
		if p.Value == "" && l[attribute] != nil && l[attribute].IsNull() && attribute == "kafka.brokers" {
			continue // the schema says that it is required
		}
		if p.Variable == "SPOUT_MEMORY_BUDGET" && !l.has(attribute) {
			attribute, p.Value = "kafka.fetch_max_bytes", "" // the budget's default is too small for it
			p.Fix = "calls for more memory: runner.memory_budget " + p.Fix
		}
		if p.Login { // beside an attribute's error Terraform shows the line that sets it
			diags.AddError("Invalid "+attribute, problemText(attribute, p))
			continue
		}
		diags.AddAttributeError(attributePath(attribute), "Invalid "+attribute, problemText(attribute, p))
	}
	return r.Settings, diags
}

// settingWarnings warns of what is allowed all the same.
func settingWarnings(l leaves, outputBranch types.String) (diags diag.Diagnostics) {
	r := readSettings(l, outputBranch)
	for _, p := range r.WithReferences(r.given).Warnings() {
		if attribute, ok := attributeOf(p.Variable); ok && !r.mayVanish(p) {
			diags.AddAttributeWarning(attributePath(attribute), "Not encrypted", problemText(attribute, p))
		}
	}
	return diags
}

// givenSecrets are the secret variables that a Kubernetes secret is named for.
// Those that only may be are added to the unknown ones.
func givenSecrets(l leaves, unknown map[string]bool) []string {
	var given []string
	for _, s := range settingSecrets {
		unknown[s.variable] = l.unknown(s.secret)
		if l.has(s.secret) {
			given = append(given, s.variable)
		}
	}
	return given
}

func problemsOf(err error) settings.Problems {
	var problems settings.Problems
	errors.As(err, &problems)
	return problems
}

func problemText(attribute string, p settings.Problem) string {
	fix := strings.TrimSuffix(variableNames.Replace(p.Fix), ".") + "."
	if p.Value == "" {
		return attribute + " " + fix
	}
	return fmt.Sprintf("%s = %q %s", attribute, p.Value, fix)
}

// secretsOf reads the references to Kubernetes secrets out of the attributes.
func secretsOf(l leaves) []pachyderm.Secret {
	var secrets []pachyderm.Secret
	for _, s := range settingSecrets {
		name, ok := l.text(s.secret + ".name")
		if !ok {
			continue
		}
		key, ok := l.text(s.secret + "." + s.key)
		if !ok {
			key = s.defaultKey
		}
		secrets = append(secrets, pachyderm.Secret{Name: name, Key: key, EnvVar: s.variable})
	}
	return secrets
}

// runnerTexts is the reverse: the dotted paths and texts of the attributes
// that stand for the runner's variables and secrets. ok is false if the
// attributes cannot say it.
func runnerTexts(env map[string]string, secrets []pachyderm.Secret, outputBranch string) (texts map[string]string, present map[string]bool, ok bool) {
	var environ []string
	for name, value := range env {
		if settings.IsSecret(name) {
			return nil, nil, false // a secret in plain text, set by hand
		}
		environ = append(environ, name+"="+value)
	}
	parsed, err := settings.Parse(environ)
	if err != nil || parsed.Source != "kafka" || parsed.OutputBranch != outputBranch {
		return nil, nil, false
	}
	texts, present = map[string]string{}, map[string]bool{"kafka": true, "kafka.tls": parsed.Kafka.TLS}
	rendered := parsed.Environment()
	for _, s := range settingAttributes {
		if value, ok := rendered[s.variable]; ok {
			texts[s.attribute] = value
		}
	}
	for _, secret := range secrets {
		known := false
		for _, s := range settingSecrets {
			if s.variable != secret.EnvVar {
				continue
			}
			if name, ok := texts[s.secret+".name"]; ok && name != secret.Name {
				return nil, nil, false
			}
			texts[s.secret+".name"], known = secret.Name, true
			if secret.Key != s.defaultKey {
				texts[s.secret+"."+s.key] = secret.Key
			}
		}
		if !known {
			return nil, nil, false
		}
	}
	// All variables of a secret, or none; and no mechanism without credentials.
	wanted := 0
	for _, s := range settingSecrets {
		if _, ok := texts[s.secret+".name"]; ok {
			wanted++
		}
	}
	_, mechanism := texts["kafka.sasl.mechanism"]
	_, credentials := texts["kafka.sasl.credentials_secret.name"]
	return texts, present, len(secrets) == wanted && mechanism == credentials
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
