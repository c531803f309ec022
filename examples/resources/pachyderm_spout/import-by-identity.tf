import {
  to = pachyderm_spout.orders
  identity = {
    project = "default"
    name    = "orders"
  }
}
