# terraform query -generate-config-out=found.tf
list "pachyderm_project" "all" {
  provider = pachyderm
}

list "pachyderm_project" "some" {
  provider         = pachyderm
  include_resource = true

  config {
    name_prefix = "team-"
  }
}
