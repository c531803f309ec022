data "pachyderm_repo" "orders" {
  name = "orders"
}

output "branches" {
  value = data.pachyderm_repo.orders.branches
}
