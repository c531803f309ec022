// SPDX-License-Identifier: Apache-2.0

// Package address knows of addresses what may be shown of them, and which of
// them lead out of this machine.
package address

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Redacted returns what of an address may be shown: all but a user, a password
// and a query, which may hold keys. The text need not be an address that can be
// parsed: a password with a character that has to be escaped is the usual
// reason why one cannot be. Of a list of addresses in one text, all before the
// last login is hidden.
func Redacted(text string) string {
	scheme := schemeForm.FindString(text)
	rest := text[len(scheme):]
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = hidden + rest[at:]
	}
	if query := strings.IndexAny(rest, "?#"); query >= 0 {
		rest = rest[:query+1] + hidden
	}
	return scheme + rest
}

var schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// hidden takes the place of what is not shown.
const hidden = "(hidden)"

// HasLogin says whether a text may hold a user or password, as an address does
// before an @.
func HasLogin(text string) bool { return strings.Contains(text, "@") }

// IsLoopback says whether a host, by name or address and with or without a
// port, is this machine, so that nobody else can listen in.
func IsLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// IsClearHTTP says whether a URL leads over plain HTTP to another machine.
func IsClearHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && strings.EqualFold(u.Scheme, "http") && !IsLoopback(u.Hostname())
}
