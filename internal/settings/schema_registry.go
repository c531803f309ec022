// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"encoding/pem"
	"net/url"
)

// SchemaRegistry says where the schemas of values are, and how it is reached.
type SchemaRegistry struct {
	URL string `env:"SPOUT_SCHEMA_REGISTRY_URL" address:"true" doc:"Confluent-compatible schema registry, as https://registry.example.com. With it, values of avro and parquet files are decoded: they must begin with a zero byte and the number of their schema, as the registry's serializers write them. A value's fields become columns, the record's coordinates one called _record; records of different schemas go into different files, and null values into files with _record alone. While the registry cannot be reached, reading waits."`

	TLSServerName  string `env:"SPOUT_SCHEMA_REGISTRY_TLS_SERVER_NAME" doc:"Name expected in the registry's certificate, if it is not the host's."`
	TLSCA          string `env:"SPOUT_SCHEMA_REGISTRY_TLS_CA" pem:"true" doc:"Certificates of the authorities to trust in place of the system's, in PEM."`
	TLSCert        string `env:"SPOUT_SCHEMA_REGISTRY_TLS_CERT" secret:"true" doc:"Client certificate in PEM, for mutual TLS."`
	TLSKey         string `env:"SPOUT_SCHEMA_REGISTRY_TLS_KEY" secret:"true" doc:"Key of the client certificate in PEM."`
	Username       string `env:"SPOUT_SCHEMA_REGISTRY_USERNAME" line:"true" secret:"true" doc:"User name of HTTP basic authentication."`
	Password       string `env:"SPOUT_SCHEMA_REGISTRY_PASSWORD" line:"true" secret:"true" doc:"Password of HTTP basic authentication."`
	Token          string `env:"SPOUT_SCHEMA_REGISTRY_TOKEN" line:"true" secret:"true" doc:"Bearer token, in place of a user name."`
	AllowCleartext bool   `env:"SPOUT_SCHEMA_REGISTRY_ALLOW_CLEARTEXT_CREDENTIALS" default:"false" doc:"Whether the user name and password, or the token, may be sent to a registry at http://. Everybody on the way can read them. Without it, that is allowed to this machine only."`

	Folder string `env:"SPOUT_SCHEMA_REGISTRY_FOLDER" default:"_schemas" doc:"Folder of the output repo for the schemas, as ID.avsc, in the same commit as the first records of each. Globs of downstream pipelines should name the folders of the data."`
}

// validate is given whether files of a format take schemas, and whether
// something looks into values as JSON.
func (r SchemaRegistry) validate(file File, readsJSON bool) (p Problems) {
	if !folderName.MatchString(r.Folder) {
		p.add("SPOUT_SCHEMA_REGISTRY_FOLDER", r.Folder, "must be one folder's name: letters, digits, '.', '_' and '-', no '.' at the beginning, at most 100")
	}
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
	case u.Scheme == "http" && (r.TLSCA != "" || r.TLSServerName != ""):
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "must begin with https://, since TLS settings are given")
	case !file.HasRows():
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "is for avro and parquet files; set SPOUT_FILE_FORMAT to one of them, or leave the registry out", "SPOUT_FILE_FORMAT")
	case readsJSON:
		p.add("SPOUT_SCHEMA_REGISTRY_URL", r.URL, "does not go together with what looks into values that are JSON: value:FIELD in SPOUT_FILE_PATH or SPOUT_RECORD_FILTER, SPOUT_RECORD_FIELDS and SPOUT_RECORD_MASK")
	}
	if block, _ := pem.Decode([]byte(r.TLSCA)); r.TLSCA != "" && block == nil {
		p.add("SPOUT_SCHEMA_REGISTRY_TLS_CA", "", "must hold certificates in PEM, beginning with -----BEGIN CERTIFICATE-----")
	}
	return p
}

func (r SchemaRegistry) validateSecrets() (p Problems) {
	if (r.Username == "") != (r.Password == "") {
		p.add("SPOUT_SCHEMA_REGISTRY_USERNAME, SPOUT_SCHEMA_REGISTRY_PASSWORD", "", "go together: set both or none", "SPOUT_SCHEMA_REGISTRY_USERNAME", "SPOUT_SCHEMA_REGISTRY_PASSWORD")
	}
	if r.Username != "" && r.Token != "" {
		p.add("SPOUT_SCHEMA_REGISTRY_TOKEN", "", "takes the place of a user name: set one of them")
	}
	if (r.TLSCert == "") != (r.TLSKey == "") {
		p.add("SPOUT_SCHEMA_REGISTRY_TLS_CERT, SPOUT_SCHEMA_REGISTRY_TLS_KEY", "", "go together: set both or none", "SPOUT_SCHEMA_REGISTRY_TLS_CERT", "SPOUT_SCHEMA_REGISTRY_TLS_KEY")
	}
	if r.URL == "" && r.Username+r.Token+r.TLSCert != "" {
		p.add("SPOUT_SCHEMA_REGISTRY_URL", "", "must be set, since credentials of a schema registry are given")
	}
	return p
}

// HasRows says whether files have rows, whose columns a schema can give.
func (f File) HasRows() bool { return f.Format == "avro" || f.Format == "parquet" }
