// SPDX-License-Identifier: Apache-2.0

// Package authority makes certificates for tests: of an authority that nobody
// trusts yet, for servers and for clients.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	// PEM is the authority's own certificate, for those who trust it.
	PEM         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Certificate is a certificate with its key, both in PEM.
type Certificate struct{ Chain, Key string }

// New returns an authority that nobody trusts yet.
func New(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	a := &Authority{certificate: template, key: key}
	der, err := a.sign(template, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.PEM = inPEM("CERTIFICATE", der)
	return a, nil
}

// Issue returns a certificate for name, as a client, and as a server at hosts,
// which are names or IP addresses. Kafka calls its owner User:CN=name.
func (a *Authority) Issue(name string, hosts ...string) (Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := a.sign(template, &key.PublicKey)
	if err != nil {
		return Certificate{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{Chain: inPEM("CERTIFICATE", der) + a.PEM, Key: inPEM("PRIVATE KEY", pkcs8)}, nil
}

func (a *Authority) sign(template *x509.Certificate, public *ecdsa.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return der, nil
}

// Pair is c as crypto/tls takes it.
func (c Certificate) Pair() (tls.Certificate, error) {
	return tls.X509KeyPair([]byte(c.Chain), []byte(c.Key))
}

// ClientTLS is the configuration of a client that trusts a and shows the
// certificates own.
func (a *Authority) ClientTLS(own ...Certificate) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.certificate)
	for _, c := range own {
		pair, err := c.Pair()
		if err != nil {
			return nil, err
		}
		config.Certificates = append(config.Certificates, pair)
	}
	return config, nil
}

// ForTest returns an authority of a test's own.
func ForTest(t testing.TB, name string) *Authority {
	t.Helper()
	a, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// IssueForTest is Issue in a test.
func (a *Authority) IssueForTest(t testing.TB, name string, hosts ...string) Certificate {
	t.Helper()
	c, err := a.Issue(name, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Localhost returns the certificate of a server on this machine, and in PEM who
// has to be trusted for it.
func Localhost(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	a := ForTest(t, "authority")
	pair, err := a.IssueForTest(t, "localhost", "localhost", "127.0.0.1").Pair()
	if err != nil {
		t.Fatal(err)
	}
	return pair, []byte(a.PEM)
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
