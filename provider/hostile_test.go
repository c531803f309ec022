// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"google.golang.org/grpc"
)

// rawCodec passes messages as they are.
type rawCodec struct{}

func (rawCodec) Name() string                       { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }

// message is one of Protocol Buffers with the same in each of its fields.
func message(wire byte, content ...byte) (text []byte) {
	for field := range 80 {
		if tag := field + 1; tag < 16 {
			text = append(text, byte(tag)<<3|wire)
		} else {
			text = append(text, byte(tag&15)<<3|wire|0x80, byte(tag>>4))
		}
		text = append(text, content...)
	}
	return text
}

// TestEmptyAnswers: a server that leaves out of its answers what should be in
// them, or has numbers in all places, makes no object of the provider panic.
func TestEmptyAnswers(t *testing.T) {
	t.Parallel()
	nested := message(2, append([]byte{4}, 1<<3|2, 0, 2<<3|2, 0)...)
	for name, answer := range map[string][]byte{"nothing": nil, "empty messages": message(2, 0), "messages in messages": nested, "numbers": message(0, 1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
				var request []byte
				if err := stream.RecvMsg(&request); err != nil {
					return err
				}
				return stream.SendMsg(&answer)
			}))
			go server.Serve(listener) //nolint:errcheck // until it is stopped
			t.Cleanup(server.Stop)
			i := newInstanceOf(t, object{"address": listener.Addr().String(), "request_timeout": "5s"})
			try := func(what string, do func()) {
				defer func() {
					if problem := recover(); problem != nil {
						t.Errorf("%s panics: %v\n%s", what, problem, debug.Stack())
					}
				}()
				do()
			}
			for typeName, schema := range i.schemas.DataSourceSchemas {
				config := object{}
				for _, a := range schema.Block.Attributes {
					if a.Required {
						config[a.Name] = "x"
					}
				}
				for _, optional := range []object{nil, {"name": "x"}, {"id": strings.Repeat("0", 32)}} {
					if slices.ContainsFunc(schema.Block.Attributes, func(a *tfprotov6.SchemaAttribute) bool { return optional[a.Name] != nil }) || optional == nil {
						try(typeName, func() { i.read(typeName, merged(config, optional)) })
					}
				}
			}
			for typeName := range i.schemas.ResourceSchemas {
				one := i.as(typeName)
				for parts := range 4 {
					try(typeName, func() {
						one.importID(strings.Repeat("x/", parts)+"x", nil)
						one.refresh()
						one.planDestroy()
						one.destroy()
					})
				}
				l := one
				try("list of "+typeName, func() { l.query(object{}, 10, true) })
			}
			try("a new spout", func() {
				one := i.as("pachyderm_spout")
				one.apply(kafkaSpout(object{"name": fmt.Sprint("s", time.Now().UnixNano()), "timeouts": object{"create": "5s"}}))
			})
		})
	}
}
