// SPDX-License-Identifier: Apache-2.0

// Package pachyderm speaks with a pachd: connection, credentials, the meaning
// of errors, pipelines, and the output branches that spouts write.
//
// It is the only package that imports Pachyderm's generated API, at 2.6.0,
// whose messages newer servers understand. What differs between 2.6 and 2.12
// is dealt with here and nowhere else; above all, servers from 2.11 on leave
// Commit.Branch out of their answers while 2.6 needs it in requests, so
// commits are passed around as plain ids.
package pachyderm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pachyderm/pachyderm/v2/src/admin"
	"github.com/pachyderm/pachyderm/v2/src/auth"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/pachyderm/pachyderm/v2/src/transaction"
	"github.com/pachyderm/pachyderm/v2/src/version/versionpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// MaxMessage is the largest message that pachd takes and sends
// (src/internal/grpcutil/stream.go).
const MaxMessage = 20 << 20

// DefaultProject is the project that every Pachyderm has.
const DefaultProject = "default"

// Options say how to connect.
type Options struct {
	Address       Address
	Token         string // session or robot token, "" for none
	TokenFile     string // file that holds it, in place of Token; read before each call, so that it may be renewed
	CACertificate []byte // PEM; replaces the system's authorities, needs a secure address
	UserAgent     string
	CallTimeout   time.Duration     // most that an answer may take that waits for nothing by its nature; 0 for as long as the context
	DialOptions   []grpc.DialOption // added to those that the others stand for
}

// Client is a connection to a pachd or to a spout's sidecar.
type Client struct {
	PPS         pps.APIClient
	PFS         pfs.APIClient
	Auth        auth.APIClient
	Admin       admin.APIClient
	Version     versionpb.APIClient
	Transaction transaction.APIClient

	conn        *grpc.ClientConn
	callTimeout time.Duration
}

// Connect prepares a connection; the network is used by the first call only.
func Connect(o Options) (*Client, error) {
	transport := insecure.NewCredentials()
	if o.Address.Secure {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if len(o.CACertificate) > 0 {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(o.CACertificate) {
				return nil, errors.New("the CA certificate holds no certificate in PEM")
			}
		}
		transport = credentials.NewTLS(config)
	} else if len(o.CACertificate) > 0 {
		return nil, fmt.Errorf("a CA certificate is given, but %s is not encrypted; write grpcs://%s", o.Address, o.Address.HostPort())
	}
	said := words{o.token}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent(o.UserAgent),
		grpc.WithChainUnaryInterceptor(said.call), grpc.WithChainStreamInterceptor(said.stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		// A sidecar that is just being started, or a pachd that is back, is there
		// long before the library, by itself, would try again: after a second at
		// first, and up to two minutes later on.
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 20 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}}),
		// pachd allows a ping each 5 s, also without a call.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 20 * time.Second, PermitWithoutStream: true}),
	}
	if o.CallTimeout > 0 {
		options = append(options, grpc.WithChainUnaryInterceptor(limitCalls(o.CallTimeout)))
	}
	switch {
	case o.Token != "":
		options = append(options, grpc.WithPerRPCCredentials(token(o.Token)))
	case o.TokenFile != "":
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(o.TokenFile)))
	}
	conn, err := grpc.NewClient("dns:///"+o.Address.HostPort(), append(options, o.DialOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Address, err)
	}
	return &Client{
		PPS: pps.NewAPIClient(conn), PFS: pfs.NewAPIClient(conn), Auth: auth.NewAPIClient(conn),
		Admin: admin.NewAPIClient(conn), Version: versionpb.NewAPIClient(conn), Transaction: transaction.NewAPIClient(conn), conn: conn, callTimeout: o.CallTimeout,
	}, nil
}

// token is the one that is sent, "" for none.
func (o Options) token() string {
	if o.Token != "" || o.TokenFile == "" {
		return o.Token
	}
	text, err := os.ReadFile(o.TokenFile)
	if err != nil {
		return "" // nothing was sent
	}
	return strings.TrimSpace(string(text))
}

// limitCalls ends calls that take too long, but for those that are to wait.
func limitCalls(limit time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if inspect, ok := request.(*pfs.InspectCommitRequest); ok && inspect.Wait > pfs.CommitState_STARTED {
			return invoke(ctx, method, request, answer, conn, options...)
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return invoke(ctx, method, request, answer, conn, options...)
	}
}

// limited is a context for an answer in many messages.
func (c *Client) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.callTimeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.callTimeout)
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// token sends an authentication token with every call. pachd takes tokens
// over plain connections too, as those inside a cluster are.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authn-token": string(t)}, nil
}

func (token) RequireTransportSecurity() bool { return false }

// tokenFile sends the token that is in a file.
type tokenFile string

func (f tokenFile) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, "read the token: "+err.Error())
	}
	found, err := tidyToken("the file "+string(f), string(text))
	if err == nil && found == "" {
		err = fmt.Errorf("the file %s holds no token", string(f))
	}
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return token(found).GetRequestMetadata(ctx, uri...)
}

func (tokenFile) RequireTransportSecurity() bool { return false }
