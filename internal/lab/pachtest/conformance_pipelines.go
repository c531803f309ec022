// SPDX-License-Identifier: Apache-2.0

package pachtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gogo/protobuf/types"
	"github.com/pachyderm/pachyderm/v2/src/pfs"
	"github.com/pachyderm/pachyderm/v2/src/pps"
	"github.com/spoutworks/terraform-provider-pachyderm/internal/pachyderm"
	"google.golang.org/grpc/codes"
)

var repoCases = []conformanceCase{
	{"projects", func(_ *testing.T, s *suite) {
		name := s.project + "-x"
		ref := &pfs.Project{Name: name}
		_, err := s.pfs.InspectProject(s.ctx, &pfs.InspectProjectRequest{Project: ref})
		s.fails(err, codes.NotFound, s.either("projects "+name+" not found", fmt.Sprintf("project %q not found", name)))
		_, err = s.pfs.CreateProject(s.ctx, &pfs.CreateProjectRequest{Project: s.projectMessage()})
		s.fails(err, codes.AlreadyExists, "project "+s.project+" already exists")
		_, err = s.pfs.CreateProject(s.ctx, &pfs.CreateProjectRequest{Project: s.projectMessage(), Description: "new", Update: true})
		s.ok(err)
		info, err := s.pfs.InspectProject(s.ctx, &pfs.InspectProjectRequest{Project: s.projectMessage()})
		s.ok(err)
		s.equal(info.Description, "new")
		s.createRepo("r")
		_, err = s.pfs.DeleteProject(s.ctx, &pfs.DeleteProjectRequest{Project: s.projectMessage()})
		s.fails(err, codes.FailedPrecondition, "cannot delete project "+s.project+": ")
		s.fails(err, codes.FailedPrecondition, "repo "+s.project+"/r still exists")
	}},
	{"repos", func(_ *testing.T, s *suite) {
		_, err := s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
		s.fails(err, codes.NotFound, "repo "+s.project+"/r not found")
		_, err = s.pfs.DeleteRepo(s.ctx, &pfs.DeleteRepoRequest{Repo: s.repo("r")})
		s.ok(err)
		s.createRepo("r")
		_, err = s.pfs.CreateRepo(s.ctx, &pfs.CreateRepoRequest{Repo: s.repo("r")})
		s.fails(err, codes.AlreadyExists, "repo "+s.project+"/r already exists")
		_, err = s.pfs.CreateRepo(s.ctx, &pfs.CreateRepoRequest{Repo: s.repo("r"), Description: "d", Update: true})
		s.ok(err)
		info, err := s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("r")})
		s.ok(err)
		s.equal(info.Description, "d")
		_, err = s.pfs.CreateRepo(s.ctx, &pfs.CreateRepoRequest{Repo: s.repo("a.b")})
		s.fails(err, codes.Unknown, "only alphanumeric characters, underscores, and dashes are allowed")
	}},
	{"branches", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		_, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "b")})
		s.fails(err, codes.NotFound, s.either(fmt.Sprintf("branch %q not found in repo %s/r", "b", s.project), "branch (id=0, branch="+s.project+"/r@b) not found"))
		_, err = s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", "b")})
		s.ok(err)
		info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "b")})
		s.ok(err)
		s.equal(s.finished("r", info.Head.ID).Origin.Kind, pfs.OriginKind_AUTO)
		_, err = s.pfs.DeleteBranch(s.ctx, &pfs.DeleteBranchRequest{Branch: s.branch("r", "missing")})
		if s.is211() {
			s.fails(err, codes.NotFound, "not found")
		} else {
			s.ok(err)
		}
		s.createRepo("down")
		_, err = s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("down", "master"), Provenance: []*pfs.Branch{s.branch("r", "b")}})
		s.ok(err)
		_, err = s.pfs.DeleteBranch(s.ctx, &pfs.DeleteBranchRequest{Branch: s.branch("r", "b")})
		s.fails(err, codes.Unknown, s.either("as subvenance, deleting it would break those branches", "cannot be deleted because it's in the direct provenance of"))
		_, err = s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("down", "master")})
		s.fails(err, codes.Unknown, s.either("cannot start a commit on an output branch: "+s.project+"/down@master", "has not been finished")) // its head is open since 2.8
		_, err = s.pfs.DeleteBranch(s.ctx, &pfs.DeleteBranchRequest{Branch: s.branch("r", "b"), Force: true})
		s.ok(err)
	}},
	{"triggers", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		s.write(s.pfs, "r", "", addChange("/a", "1"))
		_, err := s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", "t"), Trigger: &pfs.Trigger{Branch: "t", Commits: 1}})
		s.fails(err, codes.Unknown, "triggers cannot form a loop")
		_, err = s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", "t"), Trigger: &pfs.Trigger{Branch: "master", Commits: 1},
			Provenance: []*pfs.Branch{s.branch("r", "master")}})
		s.fails(err, codes.Unknown, "a branch cannot have both provenance and a trigger")
		_, err = s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", "t"), Trigger: &pfs.Trigger{Branch: "master", Commits: 1}})
		s.ok(err)
		_, err = s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("r", "t")})
		s.ok(err)
		info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "t")})
		s.ok(err)
		s.equal(info.Trigger.GetBranch(), "master") // kept, though the last request had none
		id := s.write(s.pfs, "r", "", addChange("/b", "2"))
		s.finished("r", id)
		s.eventually("the trigger moves the head", func() bool {
			info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "t")})
			return err == nil && info.Head.ID == id
		})
	}},
}

var spoutCases = []conformanceCase{
	{"only a sidecar starts commits on the output branch", func(_ *testing.T, s *suite) {
		side := s.createSpout("s")
		text := "cannot start a commit on an output branch: " + s.project + "/s@master"
		_, err := s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("s", "master")})
		s.fails(err, codes.Unknown, text)
		s.fails(s.modify(s.pfs, s.at("s", ""), addChange("/a", "1")), codes.Unknown, text)
		id := s.start(side, "s")
		s.finish(s.pfs, "s", id, "", "") // the main pachd may finish it
		s.write(side, "s", "position", addChange("/a", "1"))
		s.equal(s.files("s", ""), "/a=1")
		_, err = s.pfs.StartCommit(s.ctx, &pfs.StartCommitRequest{Branch: s.branch("s", "staging")})
		s.ok(err) // any other branch is free
	}},
	{"a new spout has an empty, finished AUTO head", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		info := s.finished("s", s.head("s"))
		s.equal(info.Origin.Kind, pfs.OriginKind_AUTO)
		s.equal(info.Error, "")
		s.equal(s.files("s", ""), "")
		branch, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("s", "master")})
		s.ok(err)
		s.equal(len(branch.Provenance), 1)
		s.equal(branch.Provenance[0].Repo.Type, pfs.SpecRepoType)
		stream, err := s.pfs.ListRepo(s.ctx, &pfs.ListRepoRequest{Projects: []*pfs.Project{s.projectMessage()}})
		s.ok(err)
		repos, err := receiveAll(stream.Recv)
		s.ok(err)
		s.equal(len(repos), 2) // the output and the specification
	}},
	{"a spout that is read directly is updated while it is stopped", func(_ *testing.T, s *suite) {
		side := s.createSpout("s")
		reader := s.spoutRequest("reader")
		reader.Spout, reader.Input = nil, &pps.Input{Pfs: &pps.PFSInput{Project: s.project, Repo: "s", Branch: "master", Glob: "/"}}
		_, err := s.pps.CreatePipeline(s.ctx, reader)
		s.ok(err)
		s.finished("s", s.write(side, "s", "position", addChange("/a", "1")))
		update := s.spoutRequest("s")
		update.Update, update.Description = true, "new"
		_, err = s.pps.CreatePipeline(s.ctx, update)
		s.fails(err, codes.Unknown, `violates foreign key constraint "fk_to_commit"`)
		s.equal(s.inspectPipeline("s").Version, uint64(1))
		_, err = s.pps.StopPipeline(s.ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		_, err = s.pps.CreatePipeline(s.ctx, update)
		s.ok(err)
		_, err = s.pps.StartPipeline(s.ctx, &pps.StartPipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		info := s.inspectPipeline("s")
		s.equal(fmt.Sprintf("%d %t %s", info.Version, info.Stopped, info.Details.Description), "2 false new")
	}},
	{"what stop and start do to the head", func(_ *testing.T, s *suite) {
		side := s.createSpout("s")
		last := s.write(side, "s", "position", addChange("/a", "1"), addChange("/d/b", "2"))
		s.finished("s", last)
		_, err := s.pps.StopPipeline(s.ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		s.equal(s.head("s"), last)
		_, err = s.pps.StartPipeline(s.ctx, &pps.StartPipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		head := s.head("s")
		info := s.inspect("s", head, pfs.CommitState_STARTED)
		s.equal(info.Origin.Kind, pfs.OriginKind_AUTO)
		s.equal(info.ParentCommit.ID, last)
		if s.is28() {
			s.equal(info.Finishing == nil, true)
			s.finish(side, "s", head, "", "")
			s.finished("s", head)
		} else {
			s.equal(info.Finished != nil, true)
			s.equal(s.files("s", head), "")
			s.equal(s.files("s", last), "/a=1 /d/b=2")
			s.write(side, "s", "repair", copyChange(&pfs.File{Commit: s.at("s", last), Path: "/"}, "/"))
		}
		s.finished("s", s.head("s"))
		s.equal(s.files("s", ""), "/a=1 /d/b=2")
		s.write(side, "s", "next", addChange("/c", "3"))
		s.equal(s.files("s", ""), "/a=1 /c=3 /d/b=2")
	}},
	{"a stopped spout's branch is free", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		_, err := s.pps.StopPipeline(s.ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		s.ok(s.modify(s.pfs, s.at("s", ""), addChange("/a", "1")))
		s.equal(s.files("s", ""), "/a=1")
	}},
	{"an update keeps the files", func(_ *testing.T, s *suite) {
		side := s.createSpout("s")
		last := s.write(side, "s", "position", addChange("/a", "1"))
		req := s.spoutRequest("s")
		req.Update = true
		_, err := s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
		s.equal(s.head("s"), last)
		s.equal(s.files("s", ""), "/a=1")
	}},
}

var pipelineCases = []conformanceCase{
	{"defaults of inputs", func(_ *testing.T, s *suite) {
		s.createRepo("b")
		request := s.spoutRequest("p")
		request.Spout = nil
		request.Input = &pps.Input{Cross: []*pps.Input{
			{Cron: &pps.CronInput{Name: "tick", Spec: "@yearly"}}, {Pfs: &pps.PFSInput{Repo: "b", Glob: "*"}},
			{Pfs: &pps.PFSInput{Name: "a", Repo: "b", Glob: "/"}}}}
		_, err := s.pps.CreatePipeline(s.ctx, request)
		s.ok(err)
		info := s.inspectPipeline("p")
		s.equal(info.Type, pps.PipelineInfo_PIPELINE_TYPE_TRANSFORM)
		s.equal(info.Details.Input.Cross[2].GetPfs().GetName(), "a") // sorted by the names that were given
		in, tick := info.Details.Input.Cross[1].Pfs, info.Details.Input.Cross[0].Cron
		s.equal(*in, pps.PFSInput{Project: s.project, Name: "b", Repo: "b", RepoType: pfs.UserRepoType, Branch: "master", Glob: "/*"})
		s.equal(tick.Project+"/"+tick.Repo, s.project+"/p_tick")
		s.equal(tick.Start != nil, true)
	}},
	{"specifications are taken as JSON since 2.8", func(t *testing.T, s *suite) {
		text := fmt.Sprintf(`{"pipeline":{"name":"p","project":{"name":%q}},"transform":{"cmd":["x"]},"autoscaling":false,"datum_timeout":"5400.500s"}`, s.project)
		err := s.createAsJSON(text)
		if !s.is28() {
			s.fails(err, codes.Unimplemented, "unknown method CreatePipelineV2")
			return
		}
		s.ok(err)
		info := s.inspectPipeline("p")
		s.equal(info.Version, 1)
		s.equal(*info.Details.DatumTimeout, types.Duration{Seconds: 5400, Nanos: 500_000_000})
		s.fails(s.createAsJSON(strings.Replace(text, "cmd", "cnd", 1)), codes.InvalidArgument, `unknown field "cnd"`)
		s.fails(s.createAsJSON(strings.Replace(text, "5400.500s", "1h30m", 1)), codes.InvalidArgument, `invalid google.protobuf.Duration value "1h30m"`)
	}},
	{"the defaults of a project count for spouts, too", func(t *testing.T, s *suite) {
		if !s.is28() {
			t.Skip("there are none in older servers")
		}
		s.ok(s.conn.Invoke(s.ctx, setProjectDefaults, &setProjectDefaultsRequest{Project: s.projectMessage(), JSON: `{"createPipelineRequest":{"autoscaling":true}}`}, &types.Empty{}))
		_, err := s.pps.CreatePipeline(s.ctx, s.spoutRequest("s"))
		s.fails(err, codes.Unknown, "autoscaling can't be used with spouts")
		text := fmt.Sprintf(`{"pipeline":{"name":"s","project":{"name":%q}},"transform":{"image":%q,"cmd":["sleep","1000000"]},"spout":{}`, s.project, s.Image)
		s.ok(s.createAsJSON(text + `,"autoscaling":false}`))
		s.equal(s.inspectPipeline("s").Details.Autoscaling, false)
	}},
	{"a service has the address that Kubernetes gave it", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		request := s.spoutRequest("p")
		request.Spout, request.Input = nil, &pps.Input{Pfs: &pps.PFSInput{Repo: "r", Glob: "/"}}
		request.Service = &pps.Service{InternalPort: 8000, ExternalPort: 31001, IP: "1.2.3.4"}
		_, err := s.pps.CreatePipeline(s.ctx, request)
		s.ok(err)
		s.eventually("its address is shown", func() bool {
			ip := s.inspectPipeline("p").Details.Service.IP
			return ip != "" && ip != "1.2.3.4"
		})
	}},
	{"an input with a trigger", func(_ *testing.T, s *suite) {
		s.createRepo("r")
		request := s.spoutRequest("p")
		request.Spout, request.Input = nil, &pps.Input{Pfs: &pps.PFSInput{Project: s.project, Repo: "r", Glob: "/", Trigger: &pfs.Trigger{Commits: 2}}}
		if s.is29() {
			_, err := s.pps.CreatePipeline(s.ctx, request)
			s.fails(err, codes.NotFound, "@master) not found")
		}
		s.setBranch("master", nil)
		_, err := s.pps.CreatePipeline(s.ctx, request)
		s.ok(err)
		info, err := s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "p-trigger-1")})
		s.ok(err)
		s.equal(info.Trigger.Branch, "master")
		s.equal(info.Trigger.Commits, 2)
		_, err = s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: s.pipeline("p")})
		s.ok(err)
		_, err = s.pfs.InspectBranch(s.ctx, &pfs.InspectBranchRequest{Branch: s.branch("r", "p-trigger-1")})
		s.ok(err) // it is left
	}},
	{"defaults", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		info := s.inspectPipeline("s")
		d := info.Details
		s.equal(info.Version, 1)
		s.equal(info.Type, pps.PipelineInfo_PIPELINE_TYPE_SPOUT)
		s.equal(info.Parallelism, 1)
		s.equal(d.OutputBranch, "master")
		s.equal(d.DatumTries, 3)
		s.equal(d.ReprocessSpec, "until_success")
		s.equal(d.Salt != "", true)
		s.equal(d.WorkersRequested, 1)
		s.equal(d.CreatedAt != nil, true)
		s.equal(info.AuthToken, "")
		if s.is28() {
			for _, r := range []*pps.ResourceSpec{d.ResourceRequests, d.SidecarResourceRequests} {
				s.equal(fmt.Sprint(r.Cpu, r.Memory, r.Disk), fmt.Sprint(float32(1), "256Mi", "1Gi"))
			}
		} else {
			s.equal(d.ResourceRequests == nil, true)
		}
		brief, err := s.pps.InspectPipeline(s.ctx, &pps.InspectPipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		s.equal(brief.Details == nil, true)
		list, err := s.listPipelines()
		s.ok(err)
		s.equal(len(list), 1)
		s.equal(list[0].Details != nil, true)
		s.eventually("the spout is running with its worker", func() bool {
			info := s.inspectPipeline("s")
			return info.State == pps.PipelineState_PIPELINE_RUNNING && info.Details.WorkersAvailable == 1
		})
	}},
	{"each update is a new version", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		first := s.inspectPipeline("s")
		_, err := s.pps.CreatePipeline(s.ctx, s.spoutRequest("s"))
		s.fails(err, codes.AlreadyExists, fmt.Sprintf("pipeline \"%s/s\" already exists", s.project))
		req := s.spoutRequest("s")
		req.Update, req.Description, req.Salt = true, "changed", "ignored"
		_, err = s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
		second := s.inspectPipeline("s")
		s.equal(second.Version, 2)
		s.equal(second.Details.Description, "changed")
		s.equal(second.Details.Salt, first.Details.Salt)
		s.equal(second.SpecCommit.ID != first.SpecCommit.ID, true)
		req = s.spoutRequest("s")
		req.Update, req.Reprocess = true, true
		_, err = s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
		third := s.inspectPipeline("s")
		s.equal(third.Version, 3)
		s.equal(third.Details.Description, "")
		s.equal(third.Details.Salt != first.Details.Salt, true)
	}},
	{"an update of a missing pipeline creates it", func(_ *testing.T, s *suite) {
		req := s.spoutRequest("s")
		req.Update = true
		_, err := s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
		s.equal(s.inspectPipeline("s").Version, 1)
	}},
	{"stopping survives an update", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		for range 2 {
			_, err := s.pps.StopPipeline(s.ctx, &pps.StopPipelineRequest{Pipeline: s.pipeline("s")})
			s.ok(err)
		}
		req := s.spoutRequest("s")
		req.Update = true
		_, err := s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
		s.equal(s.inspectPipeline("s").Stopped, true)
		s.eventually("the spout is paused", func() bool {
			return s.inspectPipeline("s").State == pps.PipelineState_PIPELINE_PAUSED
		})
	}},
	{"missing pipelines", func(_ *testing.T, s *suite) {
		text := s.either(fmt.Sprintf("pipeline was not inspected: couldn't find up to date spec for pipeline \"%s/x\": ", s.project), fmt.Sprintf("pipeline \"%s/x\" not found", s.project))
		_, err := s.pps.InspectPipeline(s.ctx, &pps.InspectPipelineRequest{Pipeline: s.pipeline("x"), Details: true})
		s.fails(err, codes.NotFound, text)
		_, err = s.pps.StartPipeline(s.ctx, &pps.StartPipelineRequest{Pipeline: s.pipeline("x")})
		s.fails(err, codes.NotFound, text)
		list, err := s.pps.ListPipeline(s.ctx, &pps.ListPipelineRequest{Pipeline: s.pipeline("x")})
		s.ok(err)
		_, err = list.Recv()
		s.fails(err, codes.NotFound, fmt.Sprintf("pipeline \"%s/x\" not found", s.project))
		_, err = s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: s.pipeline("x")})
		s.ok(err)
	}},
	{"what creation refuses", func(t *testing.T, s *suite) {
		secret := func(name, envVar, key string) func(*pps.CreatePipelineRequest) {
			return func(r *pps.CreatePipelineRequest) {
				r.Transform.Secrets = []*pps.SecretMount{{Name: name, EnvVar: envVar, Key: key}}
			}
		}
		cases := []struct {
			static bool // looked at with the defaults, since 2.8
			text   string
			change func(*pps.CreatePipelineRequest)
		}{
			{false, "s3 output is not supported in spouts or services", func(r *pps.CreatePipelineRequest) { r.S3Out = true }},
			{false, "autoscaling can't be used with spouts (spouts aren't triggered externally)", func(r *pps.CreatePipelineRequest) { r.Autoscaling = true }},
			{true, "embedding TFJobs in pipelines is not supported yet", func(r *pps.CreatePipelineRequest) { r.TFJob = &pps.TFJob{TFJob: "{}"} }},
			{true, "ReprocessSpec must be one of", func(r *pps.CreatePipelineRequest) { r.ReprocessSpec = "never" }},
			{true, "cannot omit key/value comparison operator", func(r *pps.CreatePipelineRequest) { r.Tolerations = []*pps.Toleration{{Key: "k"}} }},
			{false, "missing Kubernetes secret no-such-secret", secret("no-such-secret", "", "")},
			{false, "secret no-such-secret has env_var set but is missing key", secret("no-such-secret", "X", "")},
			{false, "only alphanumeric characters, underscores, and dashes are allowed", func(r *pps.CreatePipelineRequest) { r.Pipeline.Name = "a b" }},
			{false, "invalid ancestry syntax", func(r *pps.CreatePipelineRequest) { r.Pipeline.Name = "a.b" }},
			{false, "pipeline names must start with an alphanumeric character", func(r *pps.CreatePipelineRequest) { r.Pipeline.Name = "-a" }},
			{false, "the 51 max", func(r *pps.CreatePipelineRequest) { r.Pipeline.Name = strings.Repeat("a", 52) }},
			{true, "malformed PodPatch", func(r *pps.CreatePipelineRequest) { r.PodPatch = "{" }},
			{false, "spout pipelines (without a service) must not have an input", func(r *pps.CreatePipelineRequest) {
				r.Input = &pps.Input{Pfs: &pps.PFSInput{Repo: "r", Glob: "/"}}
			}},
		}
		s.createRepo("r")
		for _, c := range cases {
			req := s.spoutRequest("bad")
			c.change(req)
			_, err := s.pps.CreatePipeline(s.ctx, req)
			code := codes.Unknown
			if c.static && s.is28() {
				code = codes.InvalidArgument
			}
			s.fails(err, code, c.text)
		}
		_, err := s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("bad")})
		s.fails(err, codes.NotFound, "not found")
	}},
	{"a plain repo takes the name", func(_ *testing.T, s *suite) {
		s.createRepo("s")
		_, err := s.pps.CreatePipeline(s.ctx, s.spoutRequest("s"))
		s.fails(err, codes.Unknown, `pipeline "s" cannot be created because a repo with the same name already exists`)
	}},
	{"deletion takes the repos", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		_, err := s.pfs.DeleteRepo(s.ctx, &pfs.DeleteRepoRequest{Repo: s.repo("s")})
		s.fails(err, codes.Unknown, "cannot delete a repo associated with a pipeline - delete the pipeline instead")
		_, err = s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: s.pipeline("s")})
		s.ok(err)
		_, err = s.pfs.InspectRepo(s.ctx, &pfs.InspectRepoRequest{Repo: s.repo("s")})
		s.fails(err, codes.NotFound, "repo "+s.project+"/s not found")
		s.createSpout("s")
		s.equal(s.inspectPipeline("s").Version, 1)
	}},
	{"a kept repo is in the way", func(_ *testing.T, s *suite) {
		side := s.createSpout("s")
		s.write(side, "s", "", addChange("/a", "1"))
		s.finished("s", s.head("s"))
		_, err := s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: s.pipeline("s"), KeepRepo: true})
		s.ok(err)
		s.equal(s.files("s", ""), "/a=1")
		_, err = s.pps.CreatePipeline(s.ctx, s.spoutRequest("s"))
		s.fails(err, codes.Unknown, "because a repo with the same name already exists")
	}},
	{"deletion with something downstream", func(_ *testing.T, s *suite) {
		s.createSpout("s")
		s.createRepo("down")
		_, err := s.pfs.CreateBranch(s.ctx, &pfs.CreateBranchRequest{Branch: s.branch("down", "master"), Provenance: []*pfs.Branch{s.branch("s", "master")}})
		s.ok(err)
		_, err = s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: s.pipeline("s")})
		s.fails(err, codes.Unknown, s.either("as subvenance, deleting it would break those branches", "cannot be deleted because it's in the direct provenance of"))
		s.equal(s.inspectPipeline("s").Stopped, true)
		_, err = s.pps.DeletePipeline(s.ctx, &pps.DeletePipelineRequest{Pipeline: s.pipeline("s"), Force: true})
		s.ok(err)
	}},
	{"secrets that a spout uses", func(_ *testing.T, s *suite) {
		name := s.project + "-used"
		file := fmt.Appendf(nil, `{"kind":"Secret","apiVersion":"v1","metadata":{"name":%q},"data":{"key":"dmFsdWU="}}`, name)
		_, err := s.pps.CreateSecret(s.ctx, &pps.CreateSecretRequest{File: file})
		s.ok(err)
		s.t.Cleanup(func() {
			s.pps.DeleteSecret(s.ctx, &pps.DeleteSecretRequest{Secret: &pps.Secret{Name: name}}) //nolint:errcheck
		})
		req := s.spoutRequest("s")
		req.Transform.Secrets = []*pps.SecretMount{{Name: name, EnvVar: "X", Key: "other"}}
		_, err = s.pps.CreatePipeline(s.ctx, req)
		s.fails(err, codes.Unknown, fmt.Sprintf("Kubernetes secret %s missing key other", name))
		req.Transform.Secrets[0].Key = "key"
		_, err = s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
	}},
	{"durations are kept", func(_ *testing.T, s *suite) {
		req := s.spoutRequest("s")
		req.DatumTimeout = types.DurationProto(90 * 1e9)
		req.Spout.Service = &pps.Service{InternalPort: 8000, ExternalPort: 31000}
		_, err := s.pps.CreatePipeline(s.ctx, req)
		s.ok(err)
		d := s.inspectPipeline("s").Details
		s.equal(d.DatumTimeout.Seconds, 90)
		s.equal(d.Spout.Service.Type, "NodePort")
	}},
}

// createAsJSON calls CreatePipelineV2.
func (s *suite) createAsJSON(text string) error {
	return s.conn.Invoke(s.ctx, pachyderm.CreatePipelineV2, &pachyderm.CreatePipelineV2Request{JSON: text}, &pachyderm.CreatePipelineV2Response{})
}
