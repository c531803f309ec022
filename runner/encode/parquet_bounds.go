// SPDX-License-Identifier: Apache-2.0

package encode

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	meta "github.com/parquet-go/parquet-go/format"

	"github.com/spoutworks/terraform-provider-pachyderm/runner/schema"
)

// maxBound is the most bytes of a column's smallest and largest value in the
// footer, as Parquet's own library for Java has it. Otherwise one long value
// makes a footer that readers refuse.
const maxBound = 4 << 10

// unboundedColumns lists the columns of which the footer does not say what
// their smallest and largest values are: those with a long value, and decimals
// in bytes, which the library compares by their bytes, not by their sign.
func unboundedColumns(layout *schema.Columns, rows *rowBlocks) (columns []int) {
	unbounded := make([]bool, layout.Leaves)
	for column, node := range leavesOf(layout.Schema, nil) {
		if logical := node.Type().LogicalType(); logical != nil {
			_, unbounded[column] = logical.Value.(*meta.DecimalType)
		}
	}
	if rows.extent != nil { // rows that were not measured are short
		for i, longest := range rows.extent.Longest {
			unbounded[i] = unbounded[i] || longest > maxBound
		}
	}
	for i, yes := range unbounded {
		if yes {
			columns = append(columns, i)
		}
	}
	return columns
}

// leavesOf appends the columns below a node, in their order.
func leavesOf(n parquet.Node, list []parquet.Node) []parquet.Node {
	if n.Leaf() {
		return append(list, n)
	}
	for _, f := range n.Fields() {
		list = leavesOf(f, list)
	}
	return list
}

// footerEnd is the end of a Parquet file: the footer's length and four letters.
const footerEnd = 8

// dropColumnIndexes takes the indexes of columns without bounds out of a file:
// the library writes them as if each value were empty, and readers would pass
// over the pages.
func dropColumnIndexes(file *blocks, columns []int) error {
	if len(columns) == 0 {
		return nil
	}
	end := file.cut(footerEnd)
	length := int(binary.LittleEndian.Uint32(end))
	if length > file.size {
		return errors.New("the footer of the file is longer than the file")
	}
	var protocol thrift.CompactProtocol
	var footer meta.FileMetaData
	if err := thrift.Unmarshal(&protocol, file.cut(length), &footer); err != nil {
		return fmt.Errorf("read the footer again: %w", err)
	}
	for _, group := range footer.RowGroups {
		for _, column := range columns {
			group.Columns[column].ColumnIndexOffset, group.Columns[column].ColumnIndexLength = 0, 0
		}
	}
	before := file.size
	if err := thrift.NewEncoder(protocol.NewWriter(file)).Encode(&footer); err != nil {
		return fmt.Errorf("write the footer again: %w", err)
	}
	binary.LittleEndian.PutUint32(end, uint32(file.size-before))
	_, err := file.Write(end)
	return err
}
