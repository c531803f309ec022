# The newest commit of a spout that can be read.
data "pachyderm_commit" "newest" {
  repo     = "orders"
  branch   = "master"
  finished = true
}

# Which records are in it: all before these offsets.
output "offsets" {
  value = try(data.pachyderm_commit.newest.spout.offsets["orders"], {})
}
