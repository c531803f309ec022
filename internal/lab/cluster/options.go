// SPDX-License-Identifier: Apache-2.0

// Package cluster runs a real Pachyderm on this machine, 2.6.0 if no other one is asked for: pachd, PostgreSQL, etcd and, in place of Kubernetes, package
// kubesim, which runs the pods of spouts as local processes: the real sidecar pachd, the real worker and the image's command.
//
// It is for acceptance tests, demos and looking at how Pachyderm behaves. It is not a way to run Pachyderm in earnest:
// nothing is authenticated, and pods run as the user who has started the cluster, with this machine's files. So everything
// listens on the loopback address only, for which Pachyderm's programs are built with the lines changed by which they
// listen. Whoever has an account on this machine can still run commands as that user, root if it was root.
//
// Tests share one cluster per test binary and keep apart by project:
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
//
//	func TestSpout(t *testing.T) {
//		c := cluster.Start(t)
//		c.SetImage("example.com/spout-runner", "build/image") // holds spout-runner, which becomes /spout-runner
//		...
//	}
//
// pachd's ports are fixed, so there is one cluster at a time in a network namespace: a second test binary waits for the
// first. Everything that a cluster starts ends with the process that started it, even if that is killed.
//
// The programs are built once from the nested module in folder binaries, and kept in the user's cache folder. Programs of
// another version are run from the folder that $PACHYDERM_PROGRAMS names. Command pachcluster does the same from a terminal.
package cluster

import (
	"io"
	"time"
)

// Options says how a cluster runs. The zero value is good for tests.
type Options struct {
	// Dir holds the data, the logs and what pods leave behind. It must be new, empty, or that of an earlier cluster. If it
	// is not set, a temporary folder is used, which Stop removes unless KeepLogs is set.
	Dir string
	// Storage is the folder that Pachyderm keeps files of repos in, if it is not to be one in Dir.
	Storage string
	// KeepLogs has Stop keep the logs and the pods' files of a temporary folder.
	KeepLogs bool
	// Images says which local folder stands for a container image. The key is the image's name or its beginning; the
	// longest counts. The folder's entries appear in the container's root folder, over the host's own files. HostFiles is
	// an image that has nothing of its own. All other images cannot be pulled.
	Images map[string]string
	// Fast has PostgreSQL not wait for the disk. A crash of the machine may then lose data; that of a process doesn't.
	Fast bool
	// BackOff is the first delay before a container that fails again and again is restarted, one second by default. It
	// doubles up to 30 times this, and starts anew once the container has run for 60 times this. A kubelet has 10 seconds.
	BackOff time.Duration
	// Quick has programs built in less than half of the time, if none are there yet. They are slower, and lack what is said
	// at omitted.
	Quick bool
	// WithoutPachctl leaves pachctl out of them. The methods that run it fail then.
	WithoutPachctl bool
	// Log is told of progress; nil means nobody.
	Log io.Writer
}

// Version is the version of Pachyderm that is run, unless $PACHYDERM_PROGRAMS names programs of another one.
const Version = "2.6.0"
