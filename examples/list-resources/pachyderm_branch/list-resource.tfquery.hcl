# terraform query -generate-config-out=found.tf
list "pachyderm_branch" "all" {
  provider = pachyderm
}

list "pachyderm_branch" "of_one_repo" {
  provider         = pachyderm
  include_resource = true

  config {
    project = "default"
    repo    = "images"
  }
}
