# terraform query -generate-config-out=found.tf
list "pachyderm_spout" "all" {
  provider = pachyderm
}

list "pachyderm_spout" "some" {
  provider         = pachyderm
  include_resource = true
  limit            = 50

  config {
    project     = "default"
    name_prefix = "orders"
  }
}
