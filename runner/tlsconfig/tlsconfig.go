// SPDX-License-Identifier: Apache-2.0

// Package tlsconfig makes of settings what Go's TLS works with: the one way to
// read certificates and keys for all that the runner connects to and answers.
package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// Client returns TLS towards others as settings whose variables begin with
// prefix say, for example SPOUT_KAFKA_TLS. The server's name is that of the
// host, which the caller sets, unless the settings have one.
func Client(t settings.TLS, prefix string) (*tls.Config, error) {
	roots, err := authorities(t, prefix)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, RootCAs: roots}
	switch {
	case t.CertFile != "":
		load := func() (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("%[1]s_CERT_FILE and %[1]s_KEY_FILE cannot be used: %[2]w", prefix, err)
			}
			return &certificate, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		// For each connection: the files of a Kubernetes secret change with it.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	case t.Cert != "" || t.Key != "":
		if c.Certificates, err = pair(t.Certificate, prefix); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Server returns TLS towards those who call the runner.
func Server(c settings.Certificate, prefix string) (*tls.Config, error) {
	certificates, err := pair(c, prefix)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certificates}, nil
}

// Listener returns TLS towards those who call the runner at a port of a source
// whose variables begin with prefix, for example SPOUT_WEBHOOK, nil if there is
// no certificate. The certificate is one of variables or one of files, which are
// read again for each connection. Client certificates of the authorities are
// verified if one comes; whether one must come, the caller decides.
func Listener(c settings.Certificate, certFile, keyFile, authority, authorityFile, prefix string) (*tls.Config, error) {
	var load func() (*tls.Certificate, error)
	switch {
	case certFile != "":
		load = func() (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
			if err != nil {
				return nil, fmt.Errorf("%[1]s_TLS_CERT_FILE and %[1]s_TLS_KEY_FILE cannot be used: %[2]w", prefix, err)
			}
			return &certificate, nil
		}
	case c.Cert != "":
		certificates, err := pair(c, prefix+"_TLS")
		if err != nil {
			return nil, err
		}
		load = func() (*tls.Certificate, error) { return &certificates[0], nil }
	default:
		return nil, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	roots, err := authorities(settings.TLS{CA: authority, CAFile: authorityFile}, prefix+"_CLIENT")
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() }}
	if roots != nil { // nil would be the system's
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, roots
	}
	return config, nil
}

// authorities are those to trust, nil for the system's.
func authorities(t settings.TLS, prefix string) (*x509.CertPool, error) {
	variable, text := prefix+"_CA", []byte(t.CA)
	if t.CAFile != "" {
		variable += "_FILE"
		var err error
		if text, err = os.ReadFile(t.CAFile); err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", variable, err)
		}
	} else if t.CA == "" {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate that can be read", variable)
	}
	return roots, nil
}

func pair(c settings.Certificate, prefix string) ([]tls.Certificate, error) {
	certificate, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key))
	if err != nil {
		return nil, fmt.Errorf("%[1]s_CERT and %[1]s_KEY do not go together: %[2]w", prefix, err)
	}
	return []tls.Certificate{certificate}, nil
}
