import {
  to = pachyderm_spout.orders
  id = "default/orders"
}
