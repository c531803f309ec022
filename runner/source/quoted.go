// SPDX-License-Identifier: Apache-2.0

package source

import "github.com/spoutworks/terraform-provider-pachyderm/runner/httpclient"

// maxQuoted is how long the text of an error may be in which another side has
// a say.
const maxQuoted = 1000

// Quoted is an error in which words of a server may be, as what the log and the
// status page may show: of at most 1,000 bytes in one line, and without the
// secrets, which the server was sent and may repeat. It stays what it is to
// [errors.Is] and [errors.As].
func Quoted(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if shown := httpclient.QuoteUpTo(maxQuoted, text, secrets...); shown != text {
		return &quoted{shown, err}
	}
	return err
}

type quoted struct {
	text string
	err  error
}

func (q *quoted) Error() string { return q.text }
func (q *quoted) Unwrap() error { return q.err }
