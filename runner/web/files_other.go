// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package web

import "net"

// maxFiles is how many files the process may have open, 0 if that is unknown.
func maxFiles() int { return 0 }

func hasData(net.Conn) bool { return false }
