// SPDX-License-Identifier: Apache-2.0

// Package browsertest opens pages in a real browser without a screen, for
// tests of what people see. It speaks Chromium's DevTools protocol
// (https://chromedevtools.github.io/devtools-protocol/) over a pipe.
package browsertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// commands are those of browsers of the Chromium family.
var commands = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// Find returns the command of a browser; without one, or where NO_BROWSER says
// why none is to be used, the test is skipped.
func Find(tb testing.TB) string {
	tb.Helper()
	if why := os.Getenv("NO_BROWSER"); why != "" {
		tb.Skip("no browser is to be used: ", why)
	}
	for _, name := range commands {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Skip("there is no browser on this machine: none of " + strings.Join(commands, ", ") + " is on PATH (Debian: apt-get install chromium)")
	return ""
}

// Flags are those that every run takes: no screen, no sandbox (which root is
// refused), and a profile of its own.
func Flags(profile string) []string {
	return []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir=" + profile}
}

// Page is a page in a browser of its own. It is for one goroutine.
type Page struct {
	tb        testing.TB
	requests  *os.File
	answers   chan message // closed when the browser has ended
	session   string
	last      int
	loaded    map[string]bool // documents, by their loaders
	complaint []string
}

// message is one of the protocol, of either direction.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// Open opens an address. The browser ends with the test.
func Open(tb testing.TB, address string) *Page {
	tb.Helper()
	p := &Page{tb: tb, answers: make(chan message), loaded: map[string]bool{}}
	p.start(Find(tb))
	var target struct {
		ID string `json:"targetId"`
	}
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		Session string `json:"sessionId"`
	}
	p.call("Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &attached)
	p.session = attached.Session
	for _, domain := range []string{"Runtime", "Log", "Page"} {
		p.call(domain+".enable", nil, nil)
	}
	p.call("Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}, nil)
	var document struct {
		Loader string `json:"loaderId"`
		Error  string `json:"errorText"`
	}
	p.call("Page.navigate", map[string]any{"url": address}, &document)
	if document.Error != "" {
		tb.Fatalf("%s: %s", address, document.Error)
	}
	for !p.loaded[document.Loader] {
		p.note(p.next("loading " + address))
	}
	return p
}

// start runs the browser, which reads requests from its file 3 and writes
// answers to its file 4.
func (p *Page) start(browser string) {
	p.tb.Helper()
	in, requests, err := os.Pipe()
	if err != nil {
		p.tb.Fatal(err)
	}
	answers, out, err := os.Pipe()
	if err != nil {
		p.tb.Fatal(err)
	}
	p.requests = requests
	cmd := exec.Command(browser, append(Flags(p.tb.TempDir()), "--remote-debugging-pipe")...)
	cmd.ExtraFiles = []*os.File{in, out}
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = 10 * time.Second // its children have its standard error, too
	if err := errors.Join(cmd.Start(), in.Close(), out.Close()); err != nil {
		p.tb.Fatalf("%s: %v", browser, err)
	}
	go p.read(answers)
	p.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()                                     // it was killed
		_ = errors.Join(requests.Close(), answers.Close()) // which ends the reader, whoever else has the pipe
		for range p.answers {                              //nolint:revive // until it has ended
		}
		if p.tb.Failed() {
			p.tb.Logf("%s says: %.4000s", browser, said.String())
		}
	})
}

// read passes messages on; each ends with a zero byte.
func (p *Page) read(answers *os.File) {
	defer close(p.answers)
	for r := bufio.NewReader(answers); ; {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(text[:len(text)-1], &m); err == nil {
			p.answers <- m
		}
	}
}

// patience is how long the browser may take for one answer.
const patience = 3 * time.Minute

// call asks the browser and waits for its answer.
func (p *Page) call(method string, params, result any) {
	p.tb.Helper()
	p.last++
	request := map[string]any{"id": p.last, "method": method}
	if params != nil {
		request["params"] = params
	}
	if p.session != "" {
		request["sessionId"] = p.session
	}
	text, err := json.Marshal(request)
	if err == nil {
		_, err = p.requests.Write(append(text, 0))
	}
	if err != nil {
		p.tb.Fatalf("%s: %v", method, err)
	}
	for {
		m := p.next(method)
		switch {
		case m.ID == 0:
			p.note(m)
		case m.ID == p.last && m.Error != nil:
			p.tb.Fatalf("%s: %s", method, m.Error)
		case m.ID == p.last:
			if result != nil {
				err = json.Unmarshal(m.Result, result)
			}
			if err != nil {
				p.tb.Fatalf("%s: %v: %s", method, err, m.Result)
			}
			return
		}
	}
}

// next returns the browser's next message.
func (p *Page) next(waiting string) message {
	p.tb.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case m, ok := <-p.answers:
		if !ok {
			p.tb.Fatalf("%s: the browser has ended", waiting)
		}
		return m
	case <-timer.C:
		p.tb.Fatalf("%s: no word from the browser for %s", waiting, patience)
	}
	return message{}
}

// note keeps what was loaded, and what the page or the browser complains of.
func (p *Page) note(m message) {
	switch m.Method {
	case "Page.lifecycleEvent":
		var event struct {
			Loader string `json:"loaderId"`
			Name   string `json:"name"`
		}
		if err := json.Unmarshal(m.Params, &event); err == nil && event.Name == "load" {
			p.loaded[event.Loader] = true
		}
	case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded":
		p.complaint = append(p.complaint, fmt.Sprintf("%s: %s", m.Method, m.Params))
	}
}

// Eval evaluates an expression of JavaScript in the page. Its value becomes
// JSON and result.
func (p *Page) Eval(expression string, result any) {
	p.tb.Helper()
	var answer struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	if answer.Exception != nil {
		p.tb.Fatalf("%s: %s", expression, answer.Exception)
	}
	if err := json.Unmarshal(answer.Result.Value, result); err != nil {
		p.tb.Fatalf("%s: %v", expression, err)
	}
}

// Complaints are the exceptions, messages on the console and warnings of the
// browser since the page was opened, as far as they came before the last Eval.
func (p *Page) Complaints() []string { return p.complaint }
