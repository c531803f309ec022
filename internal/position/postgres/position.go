// SPDX-License-Identifier: Apache-2.0

// Package postgres is the one parser of the positions of a PostgreSQL source.
package postgres

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/position/view"
)

// Position says which changes of a database were consumed. Its JSON is, on one
// line and with sorted tables,
//
//	{"v":1,"system":"7123456789012345678","timeline":1,"database":16384,"slot":"orders","publication":"orders","lsn":"16/B374D848",
//	 "tables":{"public.orders":{"next":1200,"schema":2,"columns":"5f0c…"}},"relations":{"16385":"16/B3740000"}}
//
// All transactions that committed before the LSN are consumed whole, and none
// after it.
type Position struct {
	Version     int    `json:"v"`
	System      string `json:"system"` // identifier of the cluster of databases
	Timeline    uint32 `json:"timeline"`
	Database    uint32 `json:"database"` // its OID
	Slot        string `json:"slot"`
	Publication string `json:"publication"`
	LSN         LSN    `json:"lsn"`

	// Tables are what records were made of, by the names of their streams.
	Tables map[string]*Table `json:"tables"`
	// Relations are the tables whose changes are read, by their OIDs: from
	// transactions on that commit at this LSN or after it, since what was before
	// is in the copy. It is 0 if there was none.
	Relations map[uint32]*Relation `json:"relations"`

	// Floor is where the numbers of tables begin that are in no position yet, nil
	// for 0: those of tables that were forgotten, since the publication has lost
	// them and there are many others, end there at most.
	Floor *Table `json:"floor,omitempty"`
}

// Table is what was consumed of a table.
type Table struct {
	Next    int64  `json:"next"`              // ordinal of the next record
	Schema  int    `json:"schema,omitempty"`  // number of the schema of the last one
	Columns string `json:"columns,omitempty"` // a hash of that schema
}

// Relation is a table of the database. Its text form is the LSN of its copy,
// behind a '-' if the publication has lost the table since.
type Relation struct {
	Copied LSN
	Absent bool // the publication does not have it any more: it is copied again if it comes back
}

// MarshalText implements encoding.TextMarshaler.
func (r Relation) MarshalText() ([]byte, error) {
	var text []byte
	if r.Absent {
		text = append(text, '-')
	}
	return r.Copied.Append(text), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Relation) UnmarshalText(text []byte) error {
	if r.Absent = len(text) > 0 && text[0] == '-'; r.Absent {
		text = text[1:]
	}
	return r.Copied.UnmarshalText(text)
}

// Versions of the JSON: the second has a floor.
const (
	withoutFloor = 1
	version      = 2
)

// New returns the position before anything was read.
func New() *Position {
	return &Position{Version: withoutFloor, Tables: map[string]*Table{}, Relations: map[uint32]*Relation{}}
}

// Parse reads a position.
func Parse(raw json.RawMessage) (*Position, error) {
	p := &Position{}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, err
	}
	switch {
	case p.Version > version:
		return nil, fmt.Errorf("it is of version %d, and this release knows version %d", p.Version, version)
	case p.Version < 1:
		return nil, errors.New("it has no version")
	case p.System == "" || p.Slot == "":
		return nil, errors.New("it names no database system or no slot")
	}
	if p.Tables == nil {
		p.Tables = map[string]*Table{}
	}
	if p.Relations == nil {
		p.Relations = map[uint32]*Relation{}
	}
	if f := p.Floor; f != nil && (f.Next < 0 || f.Schema < 0) {
		return nil, errors.New("its floor is no ordinal")
	}
	for name, t := range p.Tables {
		if t == nil || t.Next < 0 || t.Schema < 0 {
			return nil, fmt.Errorf("its table %s has no ordinal", name)
		}
	}
	for id, r := range p.Relations {
		if r == nil {
			return nil, fmt.Errorf("its relation %d is null", id)
		}
	}
	return p, nil
}

// Render writes the position.
func (p *Position) Render() json.RawMessage {
	if p.Version = withoutFloor; p.Floor != nil {
		p.Version = version
	}
	raw, err := json.Marshal(p) // maps are sorted
	if err != nil {
		panic(err) // nothing in it fails
	}
	return raw
}

// View reads a position and returns what is the same in all sources'.
func View(raw json.RawMessage) (view.View, error) {
	p, err := Parse(raw)
	if err != nil {
		return view.View{}, err
	}
	v := view.View{Identity: fmt.Sprintf("%s/%d", p.System, p.Database), Part: p.Slot}
	for name, t := range p.Tables {
		v.Marks = append(v.Marks, view.Mark{Stream: name, Next: t.Next, Text: p.LSN.String()})
	}
	return v, nil
}
