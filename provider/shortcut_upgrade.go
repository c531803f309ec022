// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// stateKind is what a resource's state must look like.
type stateKind struct {
	version int64
	kind    tftypes.Type
}

// stateKinds returns what the states of all resources must look like.
func (s *server) stateKinds() map[string]stateKind {
	s.kindsOnce.Do(func() {
		schemas, err := s.framework.GetProviderSchema(context.Background(), &tfprotov6.GetProviderSchemaRequest{})
		if err != nil {
			return // and each state goes the long way
		}
		s.kinds = map[string]stateKind{}
		for name, schema := range schemas.ResourceSchemas {
			s.kinds[name] = stateKind{schema.Version, schema.ValueType()}
		}
	})
	return s.kinds
}

// upgradeShort is a state of the current version, as it is, in the JSON that
// Terraform keeps it in. What the framework would do is to write it in another
// form; it would also leave out what is not in the schema, so that a state
// with such is left to it, as is one that does not fit. Attributes that are
// missing are null, to Terraform as to the framework.
func (s *server) upgradeShort(req *tfprotov6.UpgradeResourceStateRequest) *tfprotov6.UpgradeResourceStateResponse {
	current, ok := s.stateKinds()[req.TypeName]
	if !ok || req.Version != current.version || req.RawState == nil || len(req.RawState.JSON) == 0 || !fits(req.RawState.JSON, current.kind) {
		return nil
	}
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &tfprotov6.DynamicValue{JSON: req.RawState.JSON}}
}

// fits says whether JSON is a value of a type.
func fits(value json.RawMessage, t tftypes.Type) bool {
	switch first := value[0]; {
	case first == 'n':
		return true
	case t.Is(tftypes.String):
		return first == '"'
	case t.Is(tftypes.Bool):
		return first == 't' || first == 'f'
	case t.Is(tftypes.Number):
		return strings.IndexByte("-0123456789", first) >= 0
	}
	switch t := t.(type) {
	case tftypes.Object:
		return allFit(value, func(name string) tftypes.Type { return t.AttributeTypes[name] })
	case tftypes.Map:
		return allFit(value, func(string) tftypes.Type { return t.ElementType })
	case tftypes.List:
		var elements []json.RawMessage
		if json.Unmarshal(value, &elements) != nil {
			return false
		}
		for _, element := range elements {
			if !fits(element, t.ElementType) {
				return false
			}
		}
		return true
	}
	return false
}

func allFit(value json.RawMessage, typeOf func(name string) tftypes.Type) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil {
		return false
	}
	for name, member := range members {
		if t := typeOf(name); t == nil || !fits(member, t) {
			return false
		}
	}
	return true
}
