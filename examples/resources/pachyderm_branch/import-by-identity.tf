import {
  to = pachyderm_branch.batched
  identity = {
    project = "default"
    repo    = "orders"
    name    = "batched"
  }
}
