// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kafkacluster

import "testing"

func TestLock(t *testing.T) {
	t.Parallel()
	all, err := program.Artifacts()
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, a := range all {
		versions[a.Name] = a.Version
	}
	if versions["kafka_2.13"] != Version || versions["kafka-clients"] != Version {
		t.Errorf("the lock has kafka %s and its clients %s, and Version is %s", versions["kafka_2.13"], versions["kafka-clients"], Version)
	}
}
