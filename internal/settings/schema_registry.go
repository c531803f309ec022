// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"net/url"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// SchemaRegistry says where the schemas of values are, and how it is reached.
type SchemaRegistry struct {
	URL         string `env:"SPOUT_SCHEMA_REGISTRY_URL" attribute:"url" required:"true" address:"true" doc:"Confluent-compatible schema registry, for example ´https://registry.example.com´. With it, values of ´avro´, ´parquet´ and ´jsonl´ files are decoded: they must begin with a zero byte and the number of their schema, as the registry's serializers write them. A value's fields become columns, and the record's coordinates one called ´_record´; in ´jsonl´, the value becomes JSON. Records of different schemas go into different files, and null values into files with ´_record´ alone. While the registry cannot be reached, reading waits."`
	Credentials `attribute:"credentials_secret" prefix:"SPOUT_SCHEMA_REGISTRY" doc:"Kubernetes secret with the user name and the password of HTTP basic authentication."`
	Token       string `env:"SPOUT_SCHEMA_REGISTRY_TOKEN" attribute:"token_secret.key" secret:"token" line:"true" doc:"Bearer token, in place of a user name and password."`
	TLS         TLS    `attribute:"tls" prefix:"SPOUT_SCHEMA_REGISTRY_TLS" doc:"TLS, which a URL with ´https://´ uses. ´{}´, or left out, trusts the system's authorities."`

	AllowCleartext bool `env:"SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS" attribute:"allow_cleartext_credentials" default:"false" doc:"Whether the user name and password, or the token, may be sent to a registry at ´http://´. Everybody on the way can read them. Without it, that is allowed to this machine only."`

	Keys string `env:"SPOUT_SCHEMA_REGISTRY_KEYS" attribute:"keys" default:"bytes" doc:"What to do with the keys of records." values:"bytes: they are left as they are|decode: they have a schema in the registry too. A key becomes a column called ´_key´, or JSON in ´jsonl´, and filters and paths see what it says"`

	LogicalTypes string `env:"SPOUT_SCHEMA_REGISTRY_LOGICAL_TYPES" attribute:"logical_types" default:"micros" doc:"What becomes of times, decimals, UUIDs and bytes that Protobuf and JSON Schema write as messages and text: Protobuf's ´Timestamp´, ´Duration´ and wrappers, ´google.type.Decimal´ and ´confluent.type.Decimal´, and JSON Schema's formats ´date-time´, ´date´, ´time´ and ´uuid´ and its ´contentEncoding´. Avro says it by itself." values:"micros: columns of their types, with times in microseconds; finer digits are cut off|nanos: the same with times in nanoseconds, which reach from 1677 to 2262; others are refused|none: they stay messages and text"`

	Folder string `env:"SPOUT_SCHEMA_REGISTRY_FOLDER" attribute:"folder" default:"_schemas" doc:"Folder of the output repo for the schemas, as ´ID.avsc´, in the same commit as the first records of each. Globs of downstream pipelines should name the folders of the data."`
}

// validate is given which files are written: some take no schemas.
func (r SchemaRegistry) validate(file File) (p Problems) {
	if !folderName.MatchString(r.Folder) {
		p.add("SPOUT_SCHEMA_REGISTRY_FOLDER", r.Folder, "must be one folder's name: letters, digits, '.', '_' and '-', no '.' at the beginning, at most 100")
	}
	p = append(p, r.TLS.validate("SPOUT_SCHEMA_REGISTRY_TLS")...)
	if r.URL == "" {
		return p
	}
	u, err := url.Parse(r.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "must be like https://registry.example.com")
	case u.User != nil:
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "must not hold a user name or password; they come from a Kubernetes secret")
	case u.RawQuery != "" || u.Fragment != "":
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "must end after the path, without ? or #")
	case u.Scheme == "http" && r.TLS.any():
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "must begin with https://, since TLS settings are given")
	case !file.takesSchemas():
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "is for avro, parquet and jsonl files; set SPOUT_FILE_FORMAT to one of them, or leave the registry out", "SPOUT_FILE_FORMAT")
	}
	return p
}

func (r SchemaRegistry) validateSecrets() (p Problems) {
	p = append(p, r.Credentials.complete("SPOUT_SCHEMA_REGISTRY")...)
	if r.Username != "" && r.Token != "" {
		p.add("SPOUT_SCHEMA_REGISTRY_TOKEN", "", "takes the place of a user name: set one of them")
	}
	p = append(p, r.TLS.validateSecrets("SPOUT_SCHEMA_REGISTRY_TLS")...)
	if r.URL == "" && r.Username+r.Token+r.TLS.Cert != "" {
		p.add("SPOUT_SCHEMA_REGISTRY_URL", "", "must be set, since credentials of a schema registry are given")
	}
	return p
}

func (r SchemaRegistry) exposures() []exposure {
	if !address.IsClearHTTP(r.URL) || r.Username+r.Token == "" {
		return nil
	}
	return []exposure{{variable: "SPOUT_SCHEMA_REGISTRY_URL", value: address.Redacted(r.URL), fix: "use https://",
		what:  "gets the credentials so that everybody on the way can read them, since there is no TLS",
		allow: "SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS", allowed: r.AllowCleartext, with: []string{"SPOUT_SCHEMA_REGISTRY_USERNAME", "SPOUT_SCHEMA_REGISTRY_TOKEN"}}}
}

// takesSchemas says whether values that have a schema are decoded for the format.
func (f File) takesSchemas() bool { return f.HasRows() || f.Format == "jsonl" }

// DecodesKeys says whether keys are decoded by schemas of a registry.
func (r SchemaRegistry) DecodesKeys() bool { return r.URL != "" && r.Keys == "decode" }
