// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// object is a Kubernetes object, or a part of one, as decoded JSON. Kinds have no types of their own here: the server
// keeps whatever pachd sends, and reads the few fields it acts on.
type object = map[string]any

// metaOf returns o's metadata, made if missing.
func metaOf(o object) object {
	m, ok := o["metadata"].(object)
	if !ok {
		m = object{}
		o["metadata"] = m
	}
	return m
}

func nameOf(o object) string { return textAt(o, "metadata", "name") }

// at follows a path of keys to an object; it returns nil if one is missing.
func at(o object, path ...string) object {
	for _, key := range path {
		next, ok := o[key].(object)
		if !ok {
			return nil
		}
		o = next
	}
	return o
}

// textAt follows a path of keys to a string; it returns "" if there is none.
func textAt(o object, path ...string) string {
	last := len(path) - 1
	s, _ := at(o, path[:last]...)[path[last]].(string)
	return s
}

// listAt follows a path of keys to a list of objects.
func listAt(o object, path ...string) []object {
	last := len(path) - 1
	list, _ := at(o, path[:last]...)[path[last]].([]any)
	var out []object
	for _, e := range list {
		if eo, ok := e.(object); ok {
			out = append(out, eo)
		}
	}
	return out
}

// clone returns a deep copy, with the types that decoded JSON has.
func clone(o object) object {
	b, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("kubesim: an object that is not JSON: %v", err))
	}
	var c object
	if err := json.Unmarshal(b, &c); err != nil {
		panic(fmt.Sprintf("kubesim: an object that is not JSON: %v", err))
	}
	return c
}

// mergePatch applies a JSON merge patch (RFC 7386) to target and returns it.
func mergePatch(target, patch object) object {
	if target == nil {
		target = object{}
	}
	for key, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(target, key)
		case object:
			old, _ := target[key].(object)
			target[key] = mergePatch(old, v)
		default:
			target[key] = v
		}
	}
	return target
}

func randomHex(digits int) string {
	b := make([]byte, (digits+1)/2)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)[:digits]
}

func newUID() string {
	h := randomHex(32)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
