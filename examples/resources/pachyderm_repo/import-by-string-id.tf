import {
  to = pachyderm_repo.models
  id = "orders/models"
}
