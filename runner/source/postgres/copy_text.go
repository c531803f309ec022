// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/source/postgres/pgoutput"
)

// copyText takes lines of COPY's text format apart. What it returns is valid
// until the next line.
type copyText struct {
	values  []pgoutput.Value
	scratch []byte
}

// line reads a line without its newline.
func (c *copyText) line(line []byte, columns int) ([]pgoutput.Value, error) {
	c.values = c.values[:0]
	if cap(c.scratch) < len(line) {
		c.scratch = make([]byte, 0, len(line)+len(line)/8)
	}
	room := c.scratch[:0]
	for rest, more := line, columns > 0; more; {
		var field []byte
		if len(c.values) == columns {
			return nil, fmt.Errorf("a copied row has more than the %d columns that it should have", columns)
		}
		field, rest, more = bytes.Cut(rest, []byte{'\t'})
		switch at := bytes.IndexByte(field, '\\'); {
		case at < 0:
			c.values = append(c.values, pgoutput.Value{Kind: pgoutput.Text, Text: field})
		case string(field) == `\N`:
			c.values = append(c.values, pgoutput.Value{Kind: pgoutput.Null})
		default:
			begin := len(room)
			var err error
			if room, err = appendUnescaped(room, field); err != nil {
				return nil, err
			}
			c.values = append(c.values, pgoutput.Value{Kind: pgoutput.Text, Text: room[begin:]})
		}
	}
	if len(c.values) != columns {
		return nil, fmt.Errorf("a copied row has %d columns, and should have %d", len(c.values), columns)
	}
	return c.values, nil
}

// appendUnescaped appends a field without the backslashes that a server writes.
func appendUnescaped(dst, field []byte) ([]byte, error) {
	for i := 0; i < len(field); i++ {
		b := field[i]
		if b != '\\' {
			dst = append(dst, b)
			continue
		}
		if i++; i == len(field) {
			return nil, fmt.Errorf("a copied row ends with a backslash")
		}
		switch b = field[i]; b {
		case 'b':
			b = '\b'
		case 'f':
			b = '\f'
		case 'n':
			b = '\n'
		case 'r':
			b = '\r'
		case 't':
			b = '\t'
		case 'v':
			b = '\v'
		}
		dst = append(dst, b)
	}
	return dst, nil
}
