# By hand: terraform apply -invoke=action.pachyderm_run_pipeline.report
action "pachyderm_run_pipeline" "report" {
  config {
    project  = "default"
    name     = "daily-report"
    timeouts = { invoke = "1h" }
  }
}

# Everything once more, as after a correction of what earlier jobs have read.
action "pachyderm_run_pipeline" "again" {
  config {
    name      = "edges"
    reprocess = true
    wait      = false
  }
}
