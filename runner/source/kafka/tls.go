// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/settings"
)

// newTLS returns the settings' TLS without the brokers' name.
func newTLS(config settings.Kafka) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: config.TLSServerName}
	authorities := []byte(config.TLSCA)
	if config.TLSCAFile != "" {
		var err error
		if authorities, err = os.ReadFile(config.TLSCAFile); err != nil {
			return nil, fmt.Errorf("SPOUT_KAFKA_TLS_CA_FILE cannot be read: %w", err)
		}
	}
	if len(authorities) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, errors.New("SPOUT_KAFKA_TLS_CA or SPOUT_KAFKA_TLS_CA_FILE holds no certificate that can be read")
		}
	}
	switch {
	case config.TLSCertFile != "":
		// Read for each connection: the files of a Kubernetes secret change with it.
		load := func() (*tls.Certificate, error) {
			certificate, err := tls.LoadX509KeyPair(config.TLSCertFile, config.TLSKeyFile)
			if err != nil {
				return nil, fmt.Errorf("SPOUT_KAFKA_TLS_CERT_FILE and SPOUT_KAFKA_TLS_KEY_FILE cannot be used: %w", err)
			}
			return &certificate, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	case config.TLSCert != "" || config.TLSKey != "":
		certificate, err := tls.X509KeyPair([]byte(config.TLSCert), []byte(config.TLSKey))
		if err != nil {
			return nil, fmt.Errorf("SPOUT_KAFKA_TLS_CERT and SPOUT_KAFKA_TLS_KEY do not go together: %w", err)
		}
		c.Certificates = []tls.Certificate{certificate}
	}
	return c, nil
}
