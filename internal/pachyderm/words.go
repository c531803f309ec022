// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
	"encoding/base64"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// maxWords is how many bytes of what a server says are kept: an error may come
// with 16 MiB.
const maxWords = 16 << 10

// Plain is text of a server, or of a pod, as a terminal and a log may show it:
// bounded, and without the control characters that could change what is shown
// besides. Line breaks and tabs stay.
func Plain(text string) string { return plainUpTo(maxWords, text) }

func plainUpTo(most int, text string) string {
	cut := len(text) > most
	if cut {
		text = strings.Clone(text[:most]) // the rest is not kept for it
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if cut {
		text += "…"
	}
	return text
}

// words are what a server says to whoever sends it a token.
type words struct{ token func() string }

// plainly makes a server's error one that may be shown. The server may repeat
// the token that it was sent.
func (w words) plainly(err error) error {
	said, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	text := Plain(said.Message())
	if token := w.token(); token != "" {
		text = strings.NewReplacer(token, "(secret)", base64.StdEncoding.EncodeToString([]byte(token)), "(secret)").Replace(text)
		if len(said.Message()) > maxWords { // where it was cut, there may be a part of one
			text = strings.ToValidUTF8(text[:max(0, len(text)-2*len(token))], "") + "…"
		}
	}
	if text != said.Message() {
		return status.Error(said.Code(), text)
	}
	return err
}

func (w words) call(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return w.plainly(invoke(ctx, method, request, answer, conn, options...))
}

func (w words) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, options...)
	if err != nil {
		return nil, w.plainly(err)
	}
	return plainStream{stream, w}, nil
}

type plainStream struct {
	grpc.ClientStream
	words words
}

func (s plainStream) RecvMsg(message any) error {
	return s.words.plainly(s.ClientStream.RecvMsg(message))
}
