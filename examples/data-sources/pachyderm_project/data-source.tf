data "pachyderm_project" "orders" {
  name = "orders"
}
