// SPDX-License-Identifier: Apache-2.0

package provider

import "testing"

func TestTriggerSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"100": "100", "1k": "1000", "1KB": "1000", "1 MiB": "1000000", "1.5G": "1500000000", "2TB": "2000000000000", "1p": "1000000000000000", "7b": "7",
		"": "", "0": "", "0MB": "", "-1": "", "1Z": "", "MB": "", "1MB ": "", "1e3": ""} {
		got, err := canonicalTriggerSize(text)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"* * * * *", "*/5 0-6,22 1,15 jan-mar MON", "0 0 1 1 0", "? * ? * ?", "5/15 * * * *", "@hourly", " @never ", "@every 1h30m", "TZ=Europe/Berlin 0 5 * * *", "0  5\t* * *"} {
		if got, err := canonicalSchedule(text); err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "a * * * *", "5-1 * * * *", "*/0 * * * *", "@often", "@every", "@every x", "@every -1m", "1,,2 * * * *"} {
		if got, err := canonicalSchedule(text); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
	if !scheduleKind.equal("@every 90s", "@every  1m30s") || scheduleKind.equal("@daily", "@hourly") {
		t.Error("schedules of one meaning")
	}
}
