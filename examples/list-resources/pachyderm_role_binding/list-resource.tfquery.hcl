# terraform query -generate-config-out=found.tf
list "pachyderm_role_binding" "all" {
  provider = pachyderm
}

list "pachyderm_role_binding" "robots" {
  provider         = pachyderm
  include_resource = true

  config {
    project     = "payments"
    name_prefix = "robot:"
  }
}
