// SPDX-License-Identifier: Apache-2.0

package settings

import "encoding/pem"

// TLS says how one connection, or several of a kind, are encrypted. It is the
// same wherever the runner is a client: of brokers, databases, registries. The
// names of its variables follow the prefix that the field has which holds it.
type TLS struct {
	ServerName string `env:"_SERVER_NAME" attribute:"server_name" doc:"Name expected in the server's certificate, if it is not the host's."`
	CA         string `env:"_CA" attribute:"ca_certificate" pem:"true" doc:"Certificates of the authorities to trust in place of the system's, in PEM."`
	CAFile     string `env:"_CA_FILE" attribute:"ca_file" doc:"File with such certificates, of a secret that is mounted into the pod. The runner reads it when it starts."`
	CertFile   string `env:"_CERT_FILE" attribute:"certificate_file" doc:"File with the client certificate in PEM, for mutual TLS, of a secret that is mounted into the pod. The runner reads it again for each connection, so a certificate can be renewed while the spout runs."`
	KeyFile    string `env:"_KEY_FILE" attribute:"private_key_file" doc:"File with the key of the client certificate in PEM."`

	Certificate `attribute:"client_certificate_secret" doc:"Kubernetes secret with the client certificate, for mutual TLS."`
}

// OptionalTLS is TLS where no address says whether there is any.
type OptionalTLS struct {
	Enabled bool `env:"" attribute:"" presence:"true" default:"false" doc:"Use TLS."`
	TLS
}

// Certificate is a certificate with its key.
type Certificate struct {
	Cert string `env:"_CERT" attribute:"certificate_key" secret:"tls.crt" filled:"true" doc:"Certificate in PEM."`
	Key  string `env:"_KEY" attribute:"private_key_key" secret:"tls.key" filled:"true" doc:"Key of that certificate in PEM."`
}

// any says whether anything is set that only TLS needs. A key alone is another
// problem.
func (t TLS) any() bool {
	return t.ServerName+t.CA+t.CAFile+t.CertFile+t.Cert != ""
}

// validate checks TLS whose variables begin with a prefix.
func (t TLS) validate(prefix string) (p Problems) {
	if block, _ := pem.Decode([]byte(t.CA)); t.CA != "" && block == nil {
		p.add(prefix+"_CA", "", "must hold certificates in PEM, beginning with -----BEGIN CERTIFICATE-----")
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		p.add(prefix+"_CERT_FILE", t.CertFile, "goes together with "+prefix+"_KEY_FILE: set both or none", prefix+"_KEY_FILE")
	}
	if t.CA != "" && t.CAFile != "" {
		p.add(prefix+"_CA_FILE", t.CAFile, "cannot be set together with "+prefix+"_CA; set one of the two")
	}
	return p
}

func (t OptionalTLS) validate(prefix string) Problems {
	p := t.TLS.validate(prefix)
	if !t.Enabled && t.any() {
		p.add(prefix, "false", "must be true, since other TLS settings are given")
	}
	return p
}

func (t TLS) validateSecrets(prefix string) (p Problems) {
	if t.Cert != "" && t.CertFile != "" {
		p.add(prefix+"_CERT_FILE", t.CertFile, "cannot be set together with "+prefix+"_CERT; set one of the two")
	}
	return append(p, t.Certificate.validateSecrets(prefix)...)
}

func (c Certificate) validateSecrets(prefix string) (p Problems) {
	if (c.Cert == "") != (c.Key == "") {
		p.add(prefix+"_CERT, "+prefix+"_KEY", "", "go together: set both or none", prefix+"_CERT", prefix+"_KEY")
	}
	return p
}
