import {
  to = pachyderm_repo.models
  identity = {
    project = "orders"
    name    = "models"
  }
}
