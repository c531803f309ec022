// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Audience is who the tokens are for; brokers take no others.
const Audience = "kafka"

const defaultLifetime = time.Hour

// TokenServer is an OAuth 2.0 authorization server with the client-credentials
// grant (RFC 6749 section 4.4). Its access tokens are JWTs that the brokers
// check with the keys that it publishes (RFC 7517).
type TokenServer struct {
	// URL is where tokens are asked for.
	URL string

	keys    string // URL of the keys
	issuer  string
	key     *rsa.PrivateKey
	clients map[string]string // secrets by client id
	server  *http.Server

	mu        sync.Mutex
	lifetimes map[string]time.Duration // of a client's tokens, if they are not defaultLifetime
	issued    map[string]int           // tokens by client id
	scopes    map[string]string
}

// startTokenServer starts a server for clients on an address of this machine.
func startTokenServer(address string, clients map[string]string) (*TokenServer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return nil, fmt.Errorf("start the token server: %w", err)
	}
	base := "http://" + listener.Addr().String()
	s := &TokenServer{URL: base + "/token", keys: base + "/keys", issuer: base, key: key, clients: clients,
		lifetimes: map[string]time.Duration{}, issued: map[string]int{}, scopes: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.serveToken)
	mux.HandleFunc("GET /keys", s.serveKeys)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // until it is closed
	return s, nil
}

// SetLifetime says how long a client's tokens are good from now on.
func (s *TokenServer) SetLifetime(client string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetimes[client] = d
}

// Issued returns how many tokens a client got, and the scope it asked for last.
func (s *TokenServer) Issued(client string) (tokens int, scope string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued[client], s.scopes[client]
}

func (s *TokenServer) serveToken(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if ok { // RFC 6749 section 2.3.1: both are form-encoded first
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	want, known := s.clients[id]
	switch {
	case r.PostFormValue("grant_type") != "client_credentials":
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	case !known || secret != want:
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	s.mu.Lock()
	lifetime, ok := s.lifetimes[id]
	if !ok {
		lifetime = defaultLifetime
	}
	s.issued[id]++
	s.scopes[id] = r.PostFormValue("scope")
	s.mu.Unlock()
	token, err := s.sign(id, time.Now(), lifetime)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "server_error")
		return
	}
	answer(w, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(lifetime.Seconds())})
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, code)
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the caller has gone
}

func (s *TokenServer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	exponent := binary.BigEndian.AppendUint32(nil, uint32(s.key.E))
	answer(w, map[string]any{"keys": []map[string]string{{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
		"n": base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(exponent[1:])}}})
}

// sign makes a JWT (RFC 7519) that names subject.
func (s *TokenServer) sign(subject string, now time.Time, lifetime time.Duration) (string, error) {
	var text string
	for _, part := range []map[string]any{
		{"alg": "RS256", "typ": "JWT", "kid": "1"},
		{"iss": s.issuer, "aud": Audience, "sub": subject, "scope": "kafka", "iat": now.Unix(), "exp": now.Add(lifetime).Unix()},
	} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		if text != "" {
			text += "."
		}
		text += base64.RawURLEncoding.EncodeToString(b)
	}
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (s *TokenServer) close() { _ = s.server.Close() }
