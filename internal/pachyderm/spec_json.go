// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/gogo/protobuf/jsonpb"
)

// JSON is the specification as "pachctl create pipeline -f" takes it, on one
// line, with sorted keys. The project is left out if id has none: pachctl then
// takes that of its context.
func (s Spec) JSON(id PipelineID) (string, error) {
	request := s.request(id)
	if id.Project == "" {
		request.Pipeline.Project = nil
	}
	var buffer bytes.Buffer
	if err := (&jsonpb.Marshaler{OrigName: true}).Marshal(&buffer, request); err != nil {
		return "", fmt.Errorf("write the specification of pipeline %s: %w", id, err)
	}
	decoder := json.NewDecoder(&buffer)
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return "", fmt.Errorf("write the specification of pipeline %s: %w", id, err)
	}
	out, err := json.Marshal(object)
	return string(out), err
}
