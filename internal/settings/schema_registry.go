// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"net/url"
	"strings"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/address"
)

// SchemaRegistry says where the schemas of values are, and how it is reached.
type SchemaRegistry struct {
	URL         string `env:"SPOUT_SCHEMA_REGISTRY_URL" attribute:"url" required:"true" address:"true" doc:"Schema registry, for example ´https://registry.example.com´. It is Confluent-compatible unless SPOUT_SCHEMA_REGISTRY_API says otherwise. Values, or their headers, must say which schema they have, as the serializers of Confluent, Apicurio, Azure Event Hubs and AWS Glue write it. Records of different schemas go into different files. While the registry cannot be reached, reading waits. SPOUT_FILE_FORMAT decides what values become." forms:"avro, parquet: a column for each field, and one called ´_record´ with the record's coordinates. Null values go into their own files\njsonl: JSON"`
	API         string `env:"SPOUT_SCHEMA_REGISTRY_API" attribute:"api" default:"auto" doc:"Which API the registry has." values:"auto: by the host of SPOUT_SCHEMA_REGISTRY_URL: ´glue.REGION.amazonaws.com´ is Glue's, ´NAMESPACE.servicebus.windows.net´ Azure's, and any other Confluent's|confluent: Confluent's, which most registries have|azure: that of Azure Event Hubs, for values of its Avro serializers|glue: that of AWS Glue, for values of its Avro and JSON serializers"`
	Credentials `attribute:"credentials_secret" prefix:"SPOUT_SCHEMA_REGISTRY" doc:"Kubernetes secret with the user name and the password of HTTP basic authentication, with the client id and secret for SPOUT_SCHEMA_REGISTRY_TOKEN_URL, or with the access key's id and secret for Glue."`
	Token       string `env:"SPOUT_SCHEMA_REGISTRY_TOKEN" attribute:"token_secret.key" secret:"token" line:"true" doc:"Bearer token, in place of a user name and password. For Glue, the session token that goes with a temporary access key."`
	TokenURL    string `env:"SPOUT_SCHEMA_REGISTRY_TOKEN_URL" attribute:"token_url" address:"true" doc:"Endpoint that gives tokens to clients (OAuth 2.0, client credentials), for example ´https://login.microsoftonline.com/TENANT/oauth2/v2.0/token´. The user name and password are then the client id and the client secret. Its certificate is checked as the registry's is."`
	Scope       string `env:"SPOUT_SCHEMA_REGISTRY_SCOPE" attribute:"scope" doc:"Scopes to ask SPOUT_SCHEMA_REGISTRY_TOKEN_URL for, separated by blanks, for example ´https://eventhubs.azure.net/.default´."`
	TLS         TLS    `attribute:"tls" prefix:"SPOUT_SCHEMA_REGISTRY_TLS" doc:"TLS, which a URL with ´https://´ uses. ´{}´, or left out, trusts the system's authorities."`

	AllowCleartext bool `env:"SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS" attribute:"allow_cleartext_credentials" default:"false" doc:"Whether the user name and password, or the token, may be sent to a registry at ´http://´. Everybody on the way can read them. Without this, the runner sends them to this machine only."`

	Keys string `env:"SPOUT_SCHEMA_REGISTRY_KEYS" attribute:"keys" default:"bytes" doc:"What to do with the keys of records." values:"bytes: they are left as they are|decode: they have a schema in the registry too. A key becomes a column called ´_key´, or JSON in ´jsonl´, and filters and paths see what it says"`

	LogicalTypes string `env:"SPOUT_SCHEMA_REGISTRY_LOGICAL_TYPES" attribute:"logical_types" default:"micros" doc:"What becomes of times, decimals, UUIDs and bytes that Protobuf and JSON Schema write as messages and text. These are Protobuf's ´Timestamp´, ´Duration´ and wrappers, ´google.type.Decimal´ and ´confluent.type.Decimal´, and JSON Schema's formats ´date-time´, ´date´, ´time´ and ´uuid´ and its ´contentEncoding´. Avro's own types say it." values:"micros: columns of their types, with times in microseconds. Finer digits are cut off|nanos: the same with times in nanoseconds, which reach from 1677 to 2262. Others are refused|none: they stay messages and text"`

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
	p = append(p, r.validateTokens()...)
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
	if r.TokenURL != "" && r.Username == "" {
		p.add("SPOUT_SCHEMA_REGISTRY_USERNAME", "", "must be set, since SPOUT_SCHEMA_REGISTRY_TOKEN_URL is: it is the client id", "SPOUT_SCHEMA_REGISTRY_TOKEN_URL")
	}
	if r.Kind() == "glue" && r.URL != "" && r.Username == "" {
		p.add("SPOUT_SCHEMA_REGISTRY_USERNAME", "", "must be set to the id of an access key, and SPOUT_SCHEMA_REGISTRY_PASSWORD to its secret: Glue takes signed requests only", "SPOUT_SCHEMA_REGISTRY_URL")
	}
	if r.Username != "" && r.Token != "" && r.Kind() != "glue" {
		p.add("SPOUT_SCHEMA_REGISTRY_TOKEN", "", "takes the place of a user name: set one of them")
	}
	p = append(p, r.TLS.validateSecrets("SPOUT_SCHEMA_REGISTRY_TLS")...)
	if r.URL == "" && r.Username+r.Token+r.TLS.Cert != "" {
		p.add("SPOUT_SCHEMA_REGISTRY_URL", "", "must be set, since credentials of a schema registry are given")
	}
	return p
}

func (r SchemaRegistry) exposures() (list []exposure) {
	if r.Username+r.Token == "" {
		return nil
	}
	const what = "gets the credentials so that everybody on the way can read them, since there is no TLS"
	for variable, value := range map[string]string{"SPOUT_SCHEMA_REGISTRY_URL": r.URL, "SPOUT_SCHEMA_REGISTRY_TOKEN_URL": r.TokenURL} {
		if address.IsClearHTTP(value) {
			list = append(list, exposure{variable: variable, value: address.Redacted(value), fix: "use https://", what: what,
				allow: "SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS", allowed: r.AllowCleartext, with: []string{"SPOUT_SCHEMA_REGISTRY_USERNAME", "SPOUT_SCHEMA_REGISTRY_TOKEN"}})
		}
	}
	return list
}

// takesSchemas says whether values that have a schema are decoded for the format.
func (f File) takesSchemas() bool { return f.HasRows() || f.Format == "jsonl" }

// DecodesKeys says whether keys are decoded by schemas of a registry.
func (r SchemaRegistry) DecodesKeys() bool { return r.URL != "" && r.Keys == "decode" }

// validateTokens checks where tokens come from.
func (r SchemaRegistry) validateTokens() (p Problems) {
	if r.TokenURL == "" {
		if r.Scope != "" {
			p.add("SPOUT_SCHEMA_REGISTRY_SCOPE", r.Scope, "is for SPOUT_SCHEMA_REGISTRY_TOKEN_URL; set that, or take it out", "SPOUT_SCHEMA_REGISTRY_TOKEN_URL")
		}
		return p
	}
	if u, err := url.Parse(r.TokenURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		p.add("SPOUT_SCHEMA_REGISTRY_TOKEN_URL", r.TokenURL, "must be the URL of the token endpoint without a user or password, such as https://login.example.com/oauth2/token")
	}
	if r.Kind() == "glue" {
		p.add("SPOUT_SCHEMA_REGISTRY_TOKEN_URL", r.TokenURL, "is not for Glue, which takes requests that an access key has signed", "SPOUT_SCHEMA_REGISTRY_API")
	}
	return p
}

// Kind is which API the registry has: confluent, azure or glue.
func (r SchemaRegistry) Kind() string {
	if r.API != "auto" && r.API != "" {
		return r.API
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return "confluent"
	}
	host := u.Hostname()
	switch {
	case strings.HasSuffix(host, ".servicebus.windows.net"):
		return "azure"
	case (strings.HasPrefix(host, "glue.") || strings.HasPrefix(host, "glue-fips.") || strings.Contains(host, ".glue.")) && strings.Contains(host, ".amazonaws.com"):
		return "glue"
	}
	return "confluent"
}
