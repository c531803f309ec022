// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubesim

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestSelector(t *testing.T) {
	t.Parallel()
	o := object{"metadata": object{"name": "n", "labels": object{"app": "pipeline", "v": "1"}}}
	for selector, want := range map[string]bool{
		"":                       true,
		"app=pipeline":           true,
		"app==pipeline,v!=2":     true,
		"app=pachd":              false,
		"v in (1, 2),app":        true,
		"v notin (1,2)":          false,
		"x notin (1)":            true,
		"!x,app in (pipeline)":   true,
		"!app":                   false,
		"v in (1,2),app in (no)": false,
	} {
		if got := parseSelector(selector, "")(o); got != want {
			t.Errorf("%q selects: %v, want %v", selector, got, want)
		}
	}
	if parseSelector("", "metadata.name=other")(o) || !parseSelector("", "metadata.name=n")(o) {
		t.Error("the field selector doesn't count")
	}
}

func TestCreateUpdateDelete(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t)
	const secrets = "/api/v1/namespaces/default/secrets"

	code, o := api.do("POST", secrets, `{"metadata":{"name":"s"},"stringData":{"k":"v"}}`)
	if code != 201 || textAt(o, "data", "k") != "dg==" || o["type"] != "Opaque" || o["kind"] != "Secret" {
		t.Fatal(code, o)
	}
	if code, o := api.do("POST", secrets, `{"metadata":{"name":"s"}}`); code != 409 || o["reason"] != "AlreadyExists" {
		t.Fatal(code, o)
	}
	if code, o := api.do("PUT", secrets+"/s", `{"metadata":{"name":"s","resourceVersion":"1"}}`); code != 409 || o["reason"] != "Conflict" {
		t.Fatal(code, o)
	}
	if code, o := api.do("PATCH", secrets+"/s", `{"data":{"k":null,"l":"dg=="}}`); code != 200 || textAt(o, "data", "l") != "dg==" || textAt(o, "data", "k") != "" {
		t.Fatal(code, o)
	}
	if code, _ := api.do("DELETE", secrets+"/s", ""); code != 200 {
		t.Fatal(code)
	}
	if code, o := api.do("GET", secrets+"/s", ""); code != 404 || o["reason"] != "NotFound" {
		t.Fatal(code, o)
	}
}

// TestWatch sees what was there, a change and a removal of selected objects, and nothing of others.
func TestWatch(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t)
	const maps = "/api/v1/namespaces/default/configmaps"
	create := func(name, app string) {
		api.do("POST", maps, `{"metadata":{"name":"`+name+`","labels":{"app":"`+app+`"}}}`)
	}
	create("before", "a")
	resp, err := http.Get(api.url + "/api/v1/configmaps?watch=true&labelSelector=app%3Da")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	expect := func(kind, name string) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the watch ended")
		}
		var event object
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		if event["type"] != kind || nameOf(at(event, "object")) != name {
			t.Fatalf("got %s, want %s of %s", lines.Bytes(), kind, name)
		}
	}
	expect("ADDED", "before")
	create("other", "b")
	create("after", "a")
	expect("ADDED", "after")
	api.do("PATCH", maps+"/after", `{"data":{"k":"v"}}`)
	expect("MODIFIED", "after")
	api.do("DELETE", maps+"?labelSelector=app%3Da", "")
	expect("DELETED", "after")
	expect("DELETED", "before")
}

func TestReplicationController(t *testing.T) {
	t.Parallel()
	api := newTestAPI(t)
	const rcs = "/api/v1/namespaces/default/replicationcontrollers"
	api.do("POST", rcs, `{"metadata":{"name":"p-v1"},"spec":{"replicas":2,"template":{"metadata":{"labels":{"component":"worker"}},
		"spec":{"containers":[{"name":"c","image":"debian:12"}]}}}}`)
	pods := func() []object {
		_, o := api.do("GET", "/api/v1/pods?labelSelector=component%3Dworker", "")
		return listAt(o, "items")
	}
	first := pods()
	if len(first) != 2 {
		t.Fatalf("%d pods, want 2", len(first))
	}
	api.do("DELETE", "/api/v1/namespaces/default/pods/"+nameOf(first[0]), "")
	if again := pods(); len(again) != 2 || nameOf(again[0]) == nameOf(first[0]) && nameOf(again[1]) == nameOf(first[1]) {
		t.Fatal("a deleted pod is not replaced by another")
	}
	api.do("PATCH", rcs+"/p-v1", `{"spec":{"replicas":1}}`)
	if n := len(pods()); n != 1 {
		t.Fatalf("%d pods after scaling down, want 1", n)
	}
	api.do("DELETE", rcs+"/p-v1", "")
	if n := len(pods()); n != 0 {
		t.Fatalf("%d pods left", n)
	}
}

type testAPI struct {
	t   *testing.T
	url string
}

func newTestAPI(t *testing.T) testAPI {
	s, err := newServer(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		s.kubelet.stopAll()
	})
	return testAPI{t, server.URL}
}

func (a testAPI) do(method, path, body string) (int, object) {
	a.t.Helper()
	req, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var o object
	if err := json.NewDecoder(resp.Body).Decode(&o); err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, o
}

// TestNoBrowsers: a page of somebody else's, open in a browser of this machine, makes no pods.
func TestNoBrowsers(t *testing.T) {
	t.Parallel()
	handler := withoutBrowsers(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		host, name, value string
		want              int
	}{
		{"127.0.0.1:18080", "", "", http.StatusOK},
		{"127.0.0.1:18080", "Origin", "https://evil.example", http.StatusForbidden},
		{"127.0.0.1:18080", "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{"evil.example:18080", "", "", http.StatusForbidden},
	} {
		request := httptest.NewRequest(http.MethodPost, "/api/v1/namespaces/default/pods", strings.NewReader("{}"))
		request.Host = c.host
		if c.name != "" {
			request.Header.Set(c.name, c.value)
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != c.want {
			t.Errorf("%+v: %d", c, answer.Code)
		}
	}
}

func TestLastLinesOfALog(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("x", 99)+"\n", 2000) // several blocks
	for _, c := range []struct {
		text  string
		lines int
		want  string
	}{
		{"", 3, ""}, {"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc"}, {"a\nb\n", 2, "a\nb\n"}, {"a\nb\n", 9, "a\nb\n"}, {"a\n", 0, ""},
		{long + "y\n", 1001, long[len(long)-100_000:] + "y\n"},
	} {
		f := strings.NewReader(c.text)
		err := seekLastLines(f, c.lines)
		if got, _ := io.ReadAll(f); err != nil || string(got) != c.want {
			t.Errorf("the last %d lines of %d bytes have %d, want %d: %v", c.lines, len(c.text), len(got), len(c.want), err)
		}
	}
}
