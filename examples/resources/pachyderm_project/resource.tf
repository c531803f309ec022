resource "pachyderm_project" "orders" {
  name        = "orders"
  description = "Everything about orders"
}
