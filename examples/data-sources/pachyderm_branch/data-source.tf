data "pachyderm_branch" "orders" {
  repo = "orders"
  name = "master"
}

output "newest" {
  value = {
    commit  = data.pachyderm_branch.orders.head
    since   = data.pachyderm_branch.orders.head_commit.started_at
    read_by = data.pachyderm_branch.orders.readers
  }
}
