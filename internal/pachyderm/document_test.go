// SPDX-License-Identifier: Apache-2.0

package pachyderm

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
)

var count = PipelineID{Project: "default", Name: "count"}

func mustParse(t *testing.T, text string) *Document {
	t.Helper()
	d, err := ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Texts of one line each mean the same, and something else than the others.
func TestDocumentMeaning(t *testing.T) {
	t.Parallel()
	const transform = `"transform":{"image":"a:1","cmd":["x"]}`
	groups := [][]string{
		{
			`{` + transform + `}`,
			`{"transform":{"cmd":["x"],"image":"a:1"}}`,
			`{"pipeline":{"name":"count"},` + transform + `}`,
			`{"update":true,"reprocess":true,"salt":"abc",` + transform + `}`,
			`{` + transform + `,"description":"","autoscaling":false,"s3Out":false,"datumTries":0,"tolerations":[],"egress":null,"metadata":{},"schedulingSpec":{"nodeSelector":{}}}`,
			`{` + transform + `,"output_branch":"master","reprocess_spec":"until_success","parallelism_spec":{"constant":1}}`,
			`{` + transform + `,"parallelismSpec":{"constant":"1"}}`,
		},
		{`{` + transform + `,"datumTries":5}`, `{` + transform + `,"datum_tries":"5"}`},
		{`{` + transform + `,"datumTimeout":"90s"}`, `{` + transform + `,"datum_timeout":"1m30s"}`},
		{`{` + transform + `,"resourceRequests":{}}`},
		{`{` + transform + `,"resourceRequests":{"cpu":0.1}}`, `{` + transform + `,"resource_requests":{"cpu":0.10,"memory":""}}`},
		{`{` + transform + `,"resourceLimits":{"memory":"1Gi","disk":"500M"}}`, `{` + transform + `,"resourceLimits":{"memory":"1024Mi","disk":"0.5G"}}`},
		{`{` + transform + `,"sidecarResourceRequests":{"memory":"1G"}}`, `{` + transform + `,"sidecarResourceRequests":{"memory":"1e9"}}`},
		{`{"transform":{"image":"a:1","cmd":["x"],"env":{"A":""}}}`},
		{`{` + transform + `,"podPatch":"[{\"op\":\"remove\",\"path\":\"/a\"}]"}`, `{` + transform + `,"pod_patch":"[ {\"path\":\"/a\", \"op\":\"remove\"} ]"}`},
		{
			`{` + transform + `,"input":{"pfs":{"repo":"orders","glob":"/*"}}}`,
			`{` + transform + `,"input":{"pfs":{"project":"default","name":"orders","repo":"orders","repoType":"user","branch":"master","glob":"*"}}}`,
		},
		{`{` + transform + `,"input":{"pfs":{"project":"other","repo":"orders","glob":"/*"}}}`},
		{
			`{` + transform + `,"input":{"cross":[{"pfs":{"repo":"b","glob":"/"}},{"pfs":{"repo":"a","glob":"/"}}]}}`,
			`{` + transform + `,"input":{"cross":[{"pfs":{"repo":"a","glob":"/"}},{"pfs":{"repo":"b","glob":"/"}}]}}`,
		},
		{
			`{` + transform + `,"input":{"pfs":{"repo":"orders","glob":"/","trigger":{"commits":2}}}}`,
			`{` + transform + `,"input":{"pfs":{"repo":"orders","branch":"count-trigger-1","glob":"/","trigger":{"branch":"master","commits":"2"}}}}`,
		},
		{`{` + transform + `,"input":{"pfs":{"repo":"orders","glob":"/","trigger":{"rateLimitSpec":"@hourly"}}}}`,
			`{` + transform + `,"input":{"pfs":{"repo":"orders","glob":"/","trigger":{"rate_limit_spec":"@hourly"}}}}`},
		{`{` + transform + `,"autoscaling":true,"maximumExpectedUptime":"3600s"}`},
	}
	for i, group := range groups {
		for _, text := range group {
			d := mustParse(t, text)
			for j, others := range groups {
				for _, other := range others {
					if got := d.Means(mustParse(t, other), count); got != (i == j) {
						t.Errorf("%v for\n%s\n%s", got, text, other)
					}
				}
			}
			written, err := d.JSON(count)
			if err != nil || !d.Means(mustParse(t, written), count) {
				t.Errorf("%s is written as %s, %v", text, written, err)
			}
		}
	}
}

// What a server of 2.6 shows means what was sent, and is written without what
// the server filled in; one of 2.8 shows what was sent beside it.
func TestDocumentOfServers(t *testing.T) {
	t.Parallel()
	details := &pps.PipelineInfo_Details{
		Transform: &pps.Transform{Image: "ubuntu:20.04", Cmd: []string{"x"}}, OutputBranch: "master", DatumTries: 3, ReprocessSpec: "until_success", Salt: "s",
		ResourceRequests: &pps.ResourceSpec{Cpu: 1, Memory: "256Mi", Disk: "1Gi"},
		Input: &pps.Input{Cross: []*pps.Input{
			{Cron: &pps.CronInput{Name: "tick", Project: "default", Repo: "count_tick", Spec: "@hourly", Start: timestampOf(t, "2026-01-31T00:00:00Z")}},
			{Pfs: &pps.PFSInput{Project: "default", Name: "orders", Repo: "orders", RepoType: "user", Branch: "master", Glob: "/*"}},
		}},
	}
	info := &pps.PipelineInfo{Pipeline: count.proto(), Details: details}
	asked := mustParse(t, `{"transform":{"cmd":["x"]},"input":{"cross":[{"pfs":{"repo":"orders","glob":"/*"}},{"cron":{"name":"tick","spec":"@hourly"}}]}}`)
	have := documentFrom(info)
	if !asked.Means(have, count) {
		t.Errorf("means %v, not %v", have.meaning(count), asked.meaning(count))
	}
	text, err := have.JSON(count)
	const want = `{"input":{"cross":[{"pfs":{"glob":"/*","repo":"orders"}},{"cron":{"name":"tick","spec":"@hourly","start":"2026-01-31T00:00:00Z"}}]},"transform":{"cmd":["x"]}}`
	if err != nil || text != want {
		t.Errorf("written as %s, %v", text, err)
	}
	if !mustParse(t, `{"datumTries":3,"resourceRequests":{"memory":"256Mi"},`+want[1:]).Means(have, count) {
		t.Error("defaults that are written out are a difference")
	}
	for _, other := range []string{`{"datumTries":4,` + want[1:], `{"resourceRequests":{"memory":"1Gi"},` + want[1:], strings.Replace(want, "01-31", "02-01", 1)} {
		if mustParse(t, other).Means(have, count) {
			t.Errorf("%s is no difference", other)
		}
	}

	extra, err := proto.Marshal(&newerFields{UserSpecJSON: `{"pipeline":{"name":"count"},"update":true,"transform":{"cmd":["x"]},"determined":{"workspaces":["a"]},"input":{"pfs":{"repo":"orders","glob":"/","new":{"a":1}}}}`})
	if err != nil {
		t.Fatal(err)
	}
	info.XXX_unrecognized = extra
	have = documentFrom(info)
	text, err = have.JSON(count)
	if want := `{"determined":{"workspaces":["a"]},"input":{"pfs":{"glob":"/","new":{"a":1},"repo":"orders"}},"transform":{"cmd":["x"]}}`; err != nil || text != want {
		t.Errorf("written as %s, %v", text, err)
	}
	if asked.Means(have, count) {
		t.Error("what 2.6 does not know was lost")
	}
}

func timestampOf(t *testing.T, text string) *types.Timestamp {
	t.Helper()
	var c pps.CronInput
	if err := jsonpb.UnmarshalString(`{"start":"`+text+`"}`, &c); err != nil {
		t.Fatal(err)
	}
	return c.Start
}

func TestDocumentMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                            "must be a JSON object",
		`null`:                        "must be a JSON object",
		`[1]`:                         "must be a JSON object",
		`{} {}`:                       "nothing after it",
		`{"transform":{"imgae":"x"}}`: "transform.imgae is not a field",
		`{"input":{"cross":[{"pfs":{"glub":"/"}}]}}`:    "input.cross[0].pfs.glub is not a field",
		`{"input":{"cross":{}}}`:                        "input.cross must be a list",
		`{"transform":"x"}`:                             "transform must be an object",
		`{"outputBranch":"a","output_branch":"b"}`:      "both spellings",
		`{"datumTries":"many"}`:                         "cannot be understood",
		`{"datumTimeout":"5"}`:                          "cannot be understood",
		`{"tolerations":[{"operator":"SOMETIMES"}]}`:    "cannot be understood",
		`{"transform":{"cmd":["x"],"secrets":[{"a":1}]`: "must be a JSON object",
	} {
		_, err := ParseDocument(text)
		var problem *DocumentError
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if strings.Contains(want, "is not a field") && !slices.Contains(problem.Known, "glob") && !slices.Contains(problem.Known, "image") {
			t.Errorf("%s: known are %v", text, problem.Known)
		}
	}
}

func TestDocumentProblems(t *testing.T) {
	t.Parallel()
	const transform = `"transform":{"cmd":["x"]}`
	pfsInput := func(more string) string { return `{` + transform + `,"input":{"pfs":{` + more + `}}}` }
	for text, want := range map[string]string{
		`{}`:                             "transform is missing",
		`{"tfJob":{"tfJob":"x"}}`:        "tfJob is not supported",
		`{"transform":{"image":"x"}}`:    "transform.cmd is missing",
		`{` + transform + `,"input":{}}`: "input must have exactly one",
		`{` + transform + `,"input":{"pfs":{"repo":"a","glob":"/"},"cron":{"name":"x","spec":"@daily"}}}`: "it has pfs and cron",
		pfsInput(`"glob":"/"`):                                                                                    "input.pfs.repo is missing",
		pfsInput(`"repo":"a"`):                                                                                    "input.pfs.glob is missing",
		pfsInput(`"repo":"out","glob":"/"`):                                                                       `input.pfs.name cannot be "out"`,
		pfsInput(`"repo":"a","glob":"/*","s3":true`):                                                              "input.pfs.glob must be",
		pfsInput(`"repo":"a","glob":"/","s3":true,"lazy":true`):                                                   "input.pfs.lazy does not go",
		pfsInput(`"repo":"a","glob":"/","s3":true,"emptyFiles":true`):                                             "input.pfs.emptyFiles does not go",
		pfsInput(`"repo":"a","glob":"/","commit":"abc"`):                                                          "input.pfs.commit cannot be set",
		`{` + transform + `,"input":{"join":[{"pfs":{"repo":"a","glob":"/","s3":true}}]}}`:                        "input.join[0].pfs.s3 does not work",
		`{` + transform + `,"input":{"cross":[{"pfs":{"repo":"a","glob":"/"}},{"pfs":{"repo":"a","glob":"/"}}]}}`: `input.cross[1].pfs.name is "a", like that of another`,
		`{` + transform + `,"input":{"union":[{"pfs":{"repo":"a","glob":"/"}},{"pfs":{"repo":"a","glob":"/"}}]}}`: "",
		`{` + transform + `,"input":{"cron":{"spec":"@daily"}}}`:                                                  "input.cron.name is missing",
		`{` + transform + `,"input":{"cron":{"name":"x","spec":"daily"}}}`:                                        "input.cron.spec",
		`{` + transform + `,"reprocessSpec":"sometimes"}`:                                                         "reprocessSpec",
		`{` + transform + `,"tolerations":[{"key":"a"}]}`:                                                         "tolerations[0].operator is missing",
		`{` + transform + `,"podSpec":"{"}`:                                                                       "podSpec is not JSON",
		`{` + transform + `,"maximumExpectedUptime":"1h"}`:                                                        "needs autoscaling",
		`{` + transform + `,"egress":{"sqlDatabase":{"url":"postgres://x"}}}`:                                     "egress.sqlDatabase.secret",
		`{` + transform + `,"service":{"internalPort":80,"externalPort":80}}`:                                     "service.externalPort is 80. It must be from 30000",
		`{` + transform + `,"service":{"internalPort":80,"externalPort":80,"type":"ClusterIP"}}`:                  "",
		`{` + transform + `,"service":{"internalPort":80,"externalPort":80,"type":"Magic"}}`:                      "service.type",
		`{` + transform + `,"service":{"externalPort":80,"type":"ClusterIP"}}`:                                    "service.internalPort",
		`{` + transform + `,"s3Out":true,"service":{"internalPort":80,"externalPort":30080}}`:                     "s3Out does not go",
		`{` + transform + `,"parallelismSpec":{"constant":2},"service":{"internalPort":80,"externalPort":30080}}`: "parallelismSpec.constant is 2",
		`{"transform":{"cmd":["x"],"secrets":[{"name":"a","envVar":"A"}]}}`:                                       "transform.secrets[0].key is missing",
		`{"transform":{"cmd":["x"],"secrets":[{"name":"a"}]}}`:                                                    "transform.secrets[0] has neither",
		`{"transform":{"cmd":["x"],"secrets":[{"mountPath":"/a"}]}}`:                                              "transform.secrets[0].name is missing",
	} {
		var lines []string
		for _, problem := range mustParse(t, text).Problems() {
			lines = append(lines, problem.Field+" "+problem.Text)
		}
		got := strings.Join(lines, "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	if d := mustParse(t, pfsInput(`"repo":"count","glob":"/"`)); !d.Reads(count) || d.Reads(PipelineID{pfs.DefaultProjectName, "other"}) {
		t.Error("what a pipeline reads is wrong")
	}
}
