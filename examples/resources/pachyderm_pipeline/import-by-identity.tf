import {
  to = pachyderm_pipeline.report
  identity = {
    project = "sales"
    name    = "report"
  }
}
