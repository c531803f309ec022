import {
  to = pachyderm_project.orders
  identity = {
    name = "orders"
  }
}
