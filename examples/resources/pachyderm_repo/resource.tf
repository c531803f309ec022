resource "pachyderm_project" "orders" {
  name = "orders"
}

resource "pachyderm_repo" "models" {
  project     = pachyderm_project.orders.name
  name        = "models"
  description = "Trained models, one folder each"
}
