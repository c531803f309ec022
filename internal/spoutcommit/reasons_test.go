// SPDX-License-Identifier: Apache-2.0

package spoutcommit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/spoutworks/terraform-provider-pachyderm/internal/spoutcommit"
)

// TestReasonsAreAllConstants: metrics serve each value of the list, so each
// constant of the type must be in it.
func TestReasonsAreAllConstants(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "description.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []spoutcommit.Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, spoutcommit.Reason(text))
		}
		return true
	})
	if len(constants) < 2 || !slices.Equal(constants, spoutcommit.Reasons) {
		t.Errorf("the constants are %v, the list is %v", constants, spoutcommit.Reasons)
	}
}
