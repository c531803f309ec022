# By hand: terraform apply -invoke=action.pachyderm_finish_commit.images
action "pachyderm_finish_commit" "images" {
  config {
    repo   = "images"
    branch = "master"
  }
}

# What a writer that has died has left is thrown away.
action "pachyderm_finish_commit" "discard" {
  config {
    repo    = "uploads"
    discard = true
  }
}
