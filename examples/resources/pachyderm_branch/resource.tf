# The spout makes many small commits on the branch master of its output repo.
resource "pachyderm_spout" "orders" {
  name = "orders"

  kafka = {
    brokers = ["kafka.example.com:9092"]
    topics  = ["orders"]
  }
}

# Pipelines that read this branch in its place start a job for each gigabyte,
# or for what has come in at the end of an hour.
resource "pachyderm_branch" "batched" {
  project = pachyderm_spout.orders.project
  repo    = pachyderm_spout.orders.output_repo
  name    = "batched"

  trigger = {
    branch          = pachyderm_spout.orders.output_branch
    size            = "1GB"
    rate_limit_spec = "@hourly"
  }
}

# A branch that stays where it is.
resource "pachyderm_branch" "released" {
  repo = "models"
  name = "released"
  head = "5f1c2a3b4d5e4f608192a3b4c5d6e7f8"
}
