// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// settingKind says how an attribute writes a setting.
type settingKind int

const (
	textSetting settingKind = iota
	listSetting
	intSetting
	bytesSetting
	durationSetting
	timeSetting
	pemSetting
	offsetsSetting // by topic and partition
	boolSetting
)

// settingAttributes joins the attributes of the bundled runner to the
// variables of the contract (internal/settings), which has their defaults,
// their documentation and their rules. A variable that is not listed here is
// set by other means: SPOUT_OUTPUT_BRANCH by output_branch, SPOUT_KAFKA_TLS by
// the presence of kafka.tls, and secrets by reference.
var settingAttributes = []struct {
	attribute, variable string
	kind                settingKind
}{
	{"kafka.brokers", "SPOUT_KAFKA_BROKERS", listSetting},
	{"kafka.topics", "SPOUT_KAFKA_TOPICS", listSetting},
	{"kafka.topics_pattern", "SPOUT_KAFKA_TOPICS_PATTERN", textSetting},
	{"kafka.start_offsets", "SPOUT_KAFKA_START_OFFSETS", offsetsSetting},
	{"kafka.on_shard_changed", "SPOUT_KAFKA_ON_SHARD_CHANGED", textSetting},
	{"kafka.shard", "SPOUT_KAFKA_SHARD", textSetting},
	{"kafka.start", "SPOUT_KAFKA_START", timeSetting},
	{"kafka.client_id", "SPOUT_KAFKA_CLIENT_ID", textSetting},
	{"kafka.isolation", "SPOUT_KAFKA_ISOLATION", textSetting},
	{"kafka.on_out_of_range", "SPOUT_KAFKA_ON_OUT_OF_RANGE", textSetting},
	{"kafka.on_topic_recreated", "SPOUT_KAFKA_ON_TOPIC_RECREATED", textSetting},
	{"kafka.on_corrupt_batch", "SPOUT_KAFKA_ON_CORRUPT_BATCH", textSetting},
	{"kafka.rack", "SPOUT_KAFKA_RACK", textSetting},
	{"kafka.group_id", "SPOUT_KAFKA_GROUP_ID", textSetting},
	{"kafka.metadata_interval", "SPOUT_KAFKA_METADATA_INTERVAL", durationSetting},
	{"kafka.fetch_max_bytes", "SPOUT_KAFKA_FETCH_MAX_BYTES", bytesSetting},
	{"kafka.max_batch_bytes", "SPOUT_KAFKA_MAX_BATCH_BYTES", bytesSetting},
	{"kafka.fetch_max_wait", "SPOUT_KAFKA_FETCH_MAX_WAIT", durationSetting},
	{"kafka.tls.ca_certificate", "SPOUT_KAFKA_TLS_CA", pemSetting},
	{"kafka.tls.server_name", "SPOUT_KAFKA_TLS_SERVER_NAME", textSetting},
	{"kafka.tls.ca_file", "SPOUT_KAFKA_TLS_CA_FILE", textSetting},
	{"kafka.tls.certificate_file", "SPOUT_KAFKA_TLS_CERT_FILE", textSetting},
	{"kafka.tls.private_key_file", "SPOUT_KAFKA_TLS_KEY_FILE", textSetting},
	{"kafka.sasl.token_url", "SPOUT_KAFKA_SASL_TOKEN_URL", textSetting},
	{"kafka.sasl.scope", "SPOUT_KAFKA_SASL_SCOPE", textSetting},
	{"kafka.sasl.extensions", "SPOUT_KAFKA_SASL_EXTENSIONS", listSetting},
	{"kafka.sasl.mechanism", "SPOUT_KAFKA_SASL_MECHANISM", textSetting},
	{"kafka.sasl.allow_cleartext_credentials", "SPOUT_KAFKA_SASL_ALLOW_CLEARTEXT_CREDENTIALS", boolSetting},
	{"kafka.batch.max_bytes", "SPOUT_BATCH_MAX_BYTES", bytesSetting},
	{"kafka.batch.max_records", "SPOUT_BATCH_MAX_RECORDS", intSetting},
	{"kafka.batch.max_files", "SPOUT_BATCH_MAX_FILES", intSetting},
	{"kafka.batch.max_age", "SPOUT_BATCH_MAX_AGE", durationSetting},
	{"kafka.file.format", "SPOUT_FILE_FORMAT", textSetting},
	{"kafka.file.compression", "SPOUT_FILE_COMPRESSION", textSetting},
	{"kafka.file.path", "SPOUT_FILE_PATH", textSetting},
	{"kafka.file.path_time", "SPOUT_FILE_PATH_TIME", textSetting},
	{"kafka.records.filter", "SPOUT_RECORD_FILTER", textSetting},
	{"kafka.records.fields", "SPOUT_RECORD_FIELDS", listSetting},
	{"kafka.records.mask", "SPOUT_RECORD_MASK", listSetting},
	{"kafka.records.max_bytes", "SPOUT_RECORD_MAX_BYTES", bytesSetting},
	{"kafka.records.on_null", "SPOUT_RECORD_ON_NULL", textSetting},
	{"kafka.records.on_refused", "SPOUT_RECORD_ON_REFUSED", textSetting},
	{"kafka.records.dead_letter_folder", "SPOUT_RECORD_DEAD_LETTER_FOLDER", textSetting},
	{"kafka.schema_registry.url", "SPOUT_SCHEMA_REGISTRY_URL", textSetting},
	{"kafka.schema_registry.server_name", "SPOUT_SCHEMA_REGISTRY_TLS_SERVER_NAME", textSetting},
	{"kafka.schema_registry.ca_certificate", "SPOUT_SCHEMA_REGISTRY_TLS_CA", pemSetting},
	{"kafka.schema_registry.folder", "SPOUT_SCHEMA_REGISTRY_FOLDER", textSetting},
	{"kafka.schema_registry.allow_cleartext_credentials", "SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS", boolSetting},
	{"runner.memory_budget", "SPOUT_MEMORY_BUDGET", bytesSetting},
	{"runner.http_port", "SPOUT_HTTP_PORT", intSetting},
	{"runner.http_address", "SPOUT_HTTP_ADDRESS", textSetting},
	{"runner.http_hosts", "SPOUT_HTTP_HOSTS", listSetting},
	{"runner.log_level", "SPOUT_LOG_LEVEL", textSetting},
}

// settingSecrets are the secret variables, by the attributes that name the
// Kubernetes secret and the key in it.
var settingSecrets = []struct {
	secret, key, variable, defaultKey string
}{
	{"kafka.tls.client_certificate_secret", "certificate_key", "SPOUT_KAFKA_TLS_CERT", "tls.crt"},
	{"kafka.tls.client_certificate_secret", "private_key_key", "SPOUT_KAFKA_TLS_KEY", "tls.key"},
	{"kafka.sasl.credentials_secret", "username_key", "SPOUT_KAFKA_SASL_USERNAME", "username"},
	{"kafka.sasl.credentials_secret", "password_key", "SPOUT_KAFKA_SASL_PASSWORD", "password"},
	{"kafka.schema_registry.credentials_secret", "username_key", "SPOUT_SCHEMA_REGISTRY_USERNAME", "username"},
	{"kafka.schema_registry.credentials_secret", "password_key", "SPOUT_SCHEMA_REGISTRY_PASSWORD", "password"},
	{"kafka.schema_registry.token_secret", "key", "SPOUT_SCHEMA_REGISTRY_TOKEN", "token"},
	{"kafka.schema_registry.client_certificate_secret", "certificate_key", "SPOUT_SCHEMA_REGISTRY_TLS_CERT", "tls.crt"},
	{"kafka.schema_registry.client_certificate_secret", "private_key_key", "SPOUT_SCHEMA_REGISTRY_TLS_KEY", "tls.key"},
	{"kafka.records.mask_key_secret", "key", "SPOUT_RECORD_MASK_KEY", "key"},
	{"runner.http_token_secret", "key", "SPOUT_HTTP_TOKEN", "token"},
	{"runner.http_tls_secret", "certificate_key", "SPOUT_HTTP_TLS_CERT", "tls.crt"},
	{"runner.http_tls_secret", "private_key_key", "SPOUT_HTTP_TLS_KEY", "tls.key"},
}

// otherVariables are set by attributes that are not named after them.
var otherVariables = map[string]string{
	"SPOUT_SOURCE":        "kafka",
	"SPOUT_OUTPUT_BRANCH": "output_branch",
	"SPOUT_KAFKA_TLS":     "kafka.tls",
}

// attributeOf returns the attribute that sets a variable.
func attributeOf(variable string) (string, bool) {
	for _, s := range settingAttributes {
		if s.variable == variable {
			return s.attribute, true
		}
	}
	for _, s := range settingSecrets {
		if s.variable == variable {
			return s.secret, true
		}
	}
	attribute, ok := otherVariables[variable]
	return attribute, ok
}

func attributePath(dotted string) path.Path {
	names := strings.Split(dotted, ".")
	p := path.Root(names[0])
	for _, name := range names[1:] {
		p = p.AtName(name)
	}
	return p
}

// variableNames turns variables into attributes within a text.
var variableNames = func() *strings.Replacer {
	var pairs []string
	variables := settings.Variables()
	// The longest go first: SPOUT_KAFKA_TLS begins others.
	slices.SortFunc(variables, func(a, b settings.Variable) int { return len(b.Name) - len(a.Name) })
	for _, v := range variables {
		if attribute, ok := attributeOf(v.Name); ok {
			pairs = append(pairs, v.Name, attribute)
		}
	}
	return strings.NewReplacer(pairs...)
}()

func variableOf(name string) settings.Variable {
	for _, v := range settings.Variables() {
		if v.Name == name {
			return v
		}
	}
	panic("provider: no variable " + name + " in internal/settings")
}

// settingDoc is a variable's documentation, for the registry page.
func settingDoc(variable string, kind settingKind) string {
	v := variableOf(variable)
	doc := variableNames.Replace(v.Doc)
	if kind == listSetting {
		doc = strings.Replace(doc, ", separated by commas", "", 1)
	}
	if v.Default != "" {
		doc += fmt.Sprintf(" Default: `%s`.", v.Default)
	}
	return doc + fmt.Sprintf(" (`%s`)", v.Name)
}

// setting returns the schema of an attribute in [settingAttributes].
func setting(attribute string, required bool) schema.Attribute {
	for _, s := range settingAttributes {
		if s.attribute != attribute {
			continue
		}
		doc := settingDoc(s.variable, s.kind)
		switch s.kind {
		case listSetting:
			list := schema.ListAttribute{ElementType: types.StringType, Required: required, Optional: !required, MarkdownDescription: doc,
				Validators: []validator.List{listvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1), noComma)}}
			if variableOf(s.variable).Set {
				list.PlanModifiers = []planmodifier.List{keepSameSet{}}
			}
			return list
		case intSetting:
			return schema.Int64Attribute{Required: required, Optional: !required, MarkdownDescription: doc}
		case boolSetting:
			return schema.BoolAttribute{Required: required, Optional: !required, MarkdownDescription: doc}
		case bytesSetting:
			return textAttribute(bytesKind, doc)
		case durationSetting:
			return textAttribute(durationKind, doc)
		case offsetsSetting:
			doc = strings.Replace(doc, ", as orders:0=1200,orders:1=1180", ", by topic and partition: the `offsets` of another spout's commit, or `{ orders = { 0 = 1200, 1 = 1180 } }`", 1)
			return schema.MapAttribute{ElementType: types.MapType{ElemType: types.Int64Type}, Required: required, Optional: !required, MarkdownDescription: doc}
		case timeSetting:
			return textAttribute(timeKind, doc)
		case pemSetting:
			return textAttribute(pemKind, doc)
		default:
			return schema.StringAttribute{Required: required, Optional: !required, MarkdownDescription: doc}
		}
	}
	panic("provider: no setting of the attribute " + attribute)
}

// textAttribute is an optional string that is compared by meaning.
func textAttribute(kind *textKind, doc string) schema.StringAttribute {
	return schema.StringAttribute{Optional: true, MarkdownDescription: doc, CustomType: textType{kind: kind},
		PlanModifiers: []planmodifier.String{keepSameText{kind}}}
}
