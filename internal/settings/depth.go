// SPDX-License-Identifier: Apache-2.0

package settings

// MaxDepth is how deep a value or a schema may be nested, for all that reads
// them: schemas of a registry, values of any format, filters and masks. What is
// deeper is refused.
const MaxDepth = 100
