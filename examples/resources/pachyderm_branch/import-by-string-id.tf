import {
  to = pachyderm_branch.batched
  id = "default/orders@batched"
}
