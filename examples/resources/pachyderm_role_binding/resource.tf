# All that a robot may do with one repo.
resource "pachyderm_role_binding" "ci_images" {
  resource = {
    type    = "repo"
    project = "default"
    name    = "images"
  }
  principal = "robot:ci"
  roles     = ["repoReader"]
}

# A group that works in a project.
resource "pachyderm_role_binding" "vision" {
  resource = {
    type = "project"
    name = "vision"
  }
  principal = "group:vision-team"
  roles     = ["projectOwner", "repoOwner"]
}

# Who may write secrets, in the whole cluster.
resource "pachyderm_role_binding" "terraform" {
  resource  = { type = "cluster" }
  principal = "robot:terraform"
  roles     = ["projectCreator", "secretAdmin"]
}
