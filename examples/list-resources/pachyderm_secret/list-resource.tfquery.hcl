# terraform query -generate-config-out=found.tf
list "pachyderm_secret" "all" {
  provider = pachyderm
}

list "pachyderm_secret" "some" {
  provider         = pachyderm
  include_resource = true

  config {
    name_prefix = "team-"
  }
}
