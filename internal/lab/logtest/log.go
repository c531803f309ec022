// SPDX-License-Identifier: Apache-2.0

// Package logtest collects what a test's subject logs, and waits for lines of it.
package logtest

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log is a writer of lines. It is for use by several goroutines.
type Log struct {
	patience time.Duration
	mu       sync.Mutex
	text     bytes.Buffer
	grown    chan struct{} // closed and replaced whenever something is written
}

// New returns an empty log whose Await waits no longer than patience.
func New(patience time.Duration) *Log { return &Log{patience: patience, grown: make(chan struct{})} }

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	close(l.grown)
	l.grown = make(chan struct{})
	return len(p), nil
}

// String is all that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await waits for a line that has all of some texts, and returns it.
func (l *Log) Await(t testing.TB, texts ...string) string {
	t.Helper()
	timer := time.NewTimer(l.patience)
	defer timer.Stop()
	for {
		line, grown := l.find(texts)
		if line != "" {
			return line
		}
		select {
		case <-grown:
		case <-timer.C:
			t.Fatalf("no log line has %q; the log is:\n%s", texts, l)
		}
	}
}

// find returns a line that has the texts, or what is closed when there is more to see.
func (l *Log) find(texts []string) (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return line, nil
		}
	}
	return "", l.grown
}
