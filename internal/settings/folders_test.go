// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"slices"
	"strings"
	"testing"
)

// TestFoldersApart: the folders of the schemas and of the dead letters are for
// nothing else, whatever topics and records are called.
func TestFoldersApart(t *testing.T) {
	t.Parallel()
	registry := []string{"SPOUT_SCHEMA_REGISTRY_URL=https://registry", "SPOUT_FILE_FORMAT=avro"}
	letters := []string{"SPOUT_RECORD_ON_REFUSED=dead_letter"}
	const (
		sameFolder  = `SPOUT_RECORD_DEAD_LETTER_FOLDER="own" is the folder of the schemas, too; choose another name, or set SPOUT_SCHEMA_REGISTRY_FOLDER`
		intoSchemas = `can begin with the folder of the schemas, _schemas; begin it with another one, for example data/`
		intoLetters = `can begin with the folder of the dead letters, _dead_letters; begin it with another one, for example data/`
	)
	own := []string{"SPOUT_RECORD_DEAD_LETTER_FOLDER=own", "SPOUT_SCHEMA_REGISTRY_FOLDER=own"}
	for _, test := range []struct {
		environ []string
		want    string // "" if nothing is wrong
	}{
		{slices.Concat(registry, letters), ""},
		{slices.Concat(registry, letters, own), sameFolder},
		{slices.Concat(registry, own), ""}, // there are no dead letters
		{slices.Concat(letters, own), ""},  // nor schemas
		{slices.Concat(registry, []string{"SPOUT_FILE_PATH=/_schemas/{partition}/{first_offset}"}), intoSchemas + "_schemas/"},
		{slices.Concat(letters, []string{"SPOUT_FILE_PATH=_schemas/{partition}/{first_offset}"}), ""},
		{slices.Concat(registry, []string{"SPOUT_FILE_PATH=_schemas-{partition}/{first_offset}"}), ""},
		{slices.Concat(registry, []string{"SPOUT_SCHEMA_REGISTRY_FOLDER=s-3", "SPOUT_FILE_PATH=s-{partition}/{first_offset}"}), "can begin with"},
		{slices.Concat(registry, []string{"SPOUT_KAFKA_TOPICS=orders,_schemas"}), intoSchemas + "{topic}/"},
		{slices.Concat(registry, []string{"SPOUT_KAFKA_TOPICS=orders,_schemas", "SPOUT_FILE_PATH=data/{topic}/{partition}/{first_offset}"}), ""},
		{slices.Concat(registry, []string{"SPOUT_KAFKA_TOPICS=_schemasX,a_schemas"}), ""},
		{slices.Concat(letters, []string{"SPOUT_FILE_PATH={key}/{partition}/{first_offset}"}), ""}, // no value begins with _
		{slices.Concat(letters, own, []string{"SPOUT_FILE_PATH={key}/{partition}/{first_offset}"}), "can begin with the folder of the dead letters, own; begin it with another one, for example data/{key}/"},
		{slices.Concat(letters, []string{"SPOUT_RECORD_DEAD_LETTER_FOLDER=" + MissingPathValue, "SPOUT_FILE_PATH={key}/{partition}/{first_offset}"}), "can begin with"},
		{slices.Concat(letters, []string{"SPOUT_FILE_PATH=_{header:h}/{partition}/{first_offset}"}), intoLetters},
		{slices.Concat(letters, []string{"SPOUT_FILE_PATH=key={key}/{partition}/{first_offset}"}), ""},
		{[]string{"SPOUT_FILE_PATH={key}/{partition}/{first_offset}"}, ""},
	} {
		switch _, err := Parse(least(test.environ...)); {
		case err == nil && test.want != "":
			t.Errorf("%v: nothing is wrong, should be: %s", test.environ, test.want)
		case err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%v: got %v, want %q", test.environ, err, test.want)
		}
	}
}
