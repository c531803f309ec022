# terraform query -generate-config-out=found.tf
list "pachyderm_pipeline" "all" {
  provider = pachyderm
}

list "pachyderm_pipeline" "some" {
  provider         = pachyderm
  include_resource = true
  limit            = 50

  config {
    project     = "default"
    name_prefix = "orders"
  }
}
