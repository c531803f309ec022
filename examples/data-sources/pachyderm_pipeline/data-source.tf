data "pachyderm_pipeline" "report" {
  project = "sales"
  name    = "report"
}

check "report_works" {
  assert {
    condition     = data.pachyderm_pipeline.report.last_job_state != "failure"
    error_message = "The newest job of the report has failed."
  }
}
