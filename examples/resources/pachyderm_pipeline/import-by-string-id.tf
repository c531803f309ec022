import {
  to = pachyderm_pipeline.report
  id = "sales/report"
}
