// SPDX-License-Identifier: Apache-2.0

// Command witness stands in for the runner in tests of the image: it says what
// it finds around it.
package main

import (
	"crypto/x509"
	"encoding/json"
	"os"
)

var version = "unset"

func main() {
	report := map[string]any{"version": version, "uid": os.Getuid()}
	if _, err := x509.SystemCertPool(); err != nil {
		report["certificates"] = err.Error()
	}
	if pem, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt"); err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
		report["certificates"] = "not readable"
	}
	f, err := os.CreateTemp("", "")
	if err != nil {
		report["tmp"] = err.Error()
	} else {
		_ = f.Close()
	}
	_ = json.NewEncoder(os.Stdout).Encode(report)
}
