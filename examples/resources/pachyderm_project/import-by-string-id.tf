import {
  to = pachyderm_project.orders
  id = "orders"
}
