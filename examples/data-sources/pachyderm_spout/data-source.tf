data "pachyderm_spout" "orders" {
  name = "orders"
}

# Offsets up to which the orders are in Pachyderm, by topic and partition.
output "read_up_to" {
  value = try(data.pachyderm_spout.orders.last_commit.spout.offsets, null)
}

# A warning in each plan and apply while no order has come in for an hour.
check "orders_come_in" {
  assert {
    condition     = try(timecmp(timeadd(data.pachyderm_spout.orders.last_commit.finished_at, "1h"), plantimestamp()), -1) > 0
    error_message = "No orders for an hour. The spout is ${data.pachyderm_spout.orders.state}."
  }
}
