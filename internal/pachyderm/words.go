// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"context"
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

// plainly makes a server's error one that may be shown.
func plainly(err error) error {
	said, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	if text := Plain(said.Message()); text != said.Message() {
		return status.Error(said.Code(), text)
	}
	return err
}

func callPlainly(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return plainly(invoke(ctx, method, request, answer, conn, options...))
}

func streamPlainly(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, options...)
	if err != nil {
		return nil, plainly(err)
	}
	return plainStream{stream}, nil
}

type plainStream struct{ grpc.ClientStream }

func (s plainStream) RecvMsg(message any) error { return plainly(s.ClientStream.RecvMsg(message)) }
