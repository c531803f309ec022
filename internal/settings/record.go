// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Record says which records become files, and what is taken out of them.
type Record struct {
	Filter  Filter   `env:"SPOUT_RECORD_FILTER" attribute:"filter" doc:"Conditions that records must meet to be kept, joined by ´and´, for example ´value:status == \"paid\" and header:env != test´. Other records are left out, and counted in the commit's description. JSON ´null´ counts as missing. Each condition is a part of the record, and what it must be." forms:"key: the record's key, as text\nheader:NAME: a header. Of several with the same name the last counts\nvalue:A.B: a field of a value that is JSON or decoded, as text\nvalue:A.B|day: the day of a time, for example ´2006-01-02´, in UTC. Also ´year´, ´month´, ´hour´ and ´minute´\n== TEXT, != TEXT: equal or not. A missing part satisfies ´!=´\nin (TEXT, TEXT): equal to one of them\nexists, missing: whether the part is there"`
	Fields  []string `env:"SPOUT_RECORD_FIELDS" attribute:"fields" set:"true" doc:"Fields to keep of values that are JSON objects or decoded, for example ´id´ or ´customer.name´. The others are left out, within lists too. Null values stay."`
	Mask    []string `env:"SPOUT_RECORD_MASK" attribute:"mask" set:"true" doc:"Fields of values, JSON or decoded, whose content must not be seen. Null stays null, and a masked column becomes text. Paths show what is masked. Filters see the record as it came. Each is of one of these forms." forms:"FIELD=hash: writes the SHA-256 of the content in hexadecimal. With SPOUT_RECORD_MASK_KEY, its HMAC-SHA-256, from which nobody can guess the content\nFIELD=redact: writes ´***´, for example ´card.number=redact´"`
	MaskKey string   `env:"SPOUT_RECORD_MASK_KEY" attribute:"mask_key_secret.key" secret:"key" filled:"true" doc:"Key of the HMAC-SHA-256 that ´hash´ masks with."`

	MaxBytes         Bytes  `env:"SPOUT_RECORD_MAX_BYTES" attribute:"max_bytes" default:"0" doc:"Most bytes of a record's key, value and headers together. A larger one is refused. 0 for no limit."`
	OnNull           string `env:"SPOUT_RECORD_ON_NULL" attribute:"on_null" default:"keep" doc:"What to do with a record whose value is null, for example a tombstone." values:"keep: write it as files of its format have it|drop: leave it out and count it as filtered"`
	OnRefused        string `env:"SPOUT_RECORD_ON_REFUSED" attribute:"on_refused" default:"stop" doc:"What to do with a record that is refused: it is larger than SPOUT_RECORD_MAX_BYTES, is not JSON where the path, the filter, the fields or the mask need it, or does not fit its schema." values:"stop: the runner stops with a message|dead_letter: the runner writes it, as it came (not masked), in a JSON line with the reason, into SPOUT_RECORD_DEAD_LETTER_FOLDER of the same commit"`
	DeadLetterFolder string `env:"SPOUT_RECORD_DEAD_LETTER_FOLDER" attribute:"dead_letter_folder" default:"_dead_letters" doc:"Folder of the output repo for records that were refused, in files ´STREAM/PARTITION/FIRST-LAST.jsonl´."`
}

// MaskMethods are what may be after the = of a mask.
var MaskMethods = []string{"hash", "redact"}

// Masked is a field of JSON values that is masked.
type Masked struct {
	Field  []string
	Method string
}

// Masks returns Mask's entries, which must be valid.
func (r Record) Masks() []Masked {
	list := make([]Masked, len(r.Mask))
	for i, text := range r.Mask {
		list[i], _ = parseMask(text) //nolint:errcheck // validated
	}
	return list
}

func parseMask(text string) (Masked, error) {
	name, method, _ := strings.Cut(text, "=")
	field, err := ParseField(name)
	if err != nil {
		return Masked{}, err
	}
	if !slices.Contains(MaskMethods, method) {
		return Masked{}, fmt.Errorf("must be FIELD=hash or FIELD=redact, such as customer.email=hash")
	}
	return Masked{field, method}, nil
}

// folderName is the shape of folders of the runner's own.
var folderName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$`)

func (r Record) validate() (p Problems) {
	fields := map[string]bool{}
	for _, text := range r.Fields {
		if _, err := ParseField(text); err != nil {
			p.add("SPOUT_RECORD_FIELDS", text, err.Error())
		}
		fields[text] = true
	}
	for _, text := range r.Fields {
		if outer := outerField(text, fields); outer != "" {
			p.add("SPOUT_RECORD_FIELDS", text, "is part of "+outer+", which is kept whole; name one of them")
		}
	}
	masks := map[string]bool{}
	for _, text := range r.Mask {
		if _, err := parseMask(text); err != nil {
			p.add("SPOUT_RECORD_MASK", text, err.Error())
		}
		name, _, _ := strings.Cut(text, "=")
		if masks[name] {
			p.add("SPOUT_RECORD_MASK", text, "is there twice; name each field once")
		}
		masks[name] = true
	}
	for _, text := range r.Mask {
		name, _, _ := strings.Cut(text, "=")
		if outer := outerField(name, masks); outer != "" {
			p.add("SPOUT_RECORD_MASK", text, "is part of "+outer+", which is masked whole; name one of them")
		}
	}
	if r.MaxBytes < 0 {
		p.add("SPOUT_RECORD_MAX_BYTES", r.MaxBytes.String(), "must not be negative; 0 means no limit")
	}
	if !folderName.MatchString(r.DeadLetterFolder) {
		p.add("SPOUT_RECORD_DEAD_LETTER_FOLDER", r.DeadLetterFolder, "must be one folder's name: letters, digits, '.', '_' and '-', no '.' at the beginning, at most 100")
	}
	return p
}

// outerField returns the field that a field is a part of, "" if none is listed.
func outerField(field string, listed map[string]bool) string {
	for i, c := range field {
		if c == '.' && listed[field[:i]] {
			return field[:i]
		}
	}
	return ""
}

// ReadsJSON says whether something looks into values, which must be JSON then.
func (s Settings) ReadsJSON() bool {
	inValue := func(r Reference) bool { return r.Kind == "value" }
	return len(s.Record.Fields) > 0 || len(s.Record.Mask) > 0 || slices.ContainsFunc(s.FilePath().References(), inValue) ||
		slices.ContainsFunc(s.Record.Filter.Conditions, func(c Condition) bool { return inValue(c.Of) })
}
