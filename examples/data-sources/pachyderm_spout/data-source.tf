data "pachyderm_spout" "orders" {
  name = "orders"
}

# Offsets up to which the orders are in Pachyderm, by topic and partition.
output "read_up_to" {
  value = data.pachyderm_spout.orders.offsets
}

# A warning in each plan and apply while the spout does not ingest.
check "orders_are_ingested" {
  assert {
    condition     = data.pachyderm_spout.orders.healthy
    error_message = "The spout is ${data.pachyderm_spout.orders.state}. Its last error: ${coalesce(data.pachyderm_spout.orders.last_error, "none")}."
  }
}

# A warning in each plan and apply while no order has come in for an hour.
check "orders_come_in" {
  assert {
    condition     = try(timecmp(timeadd(data.pachyderm_spout.orders.last_commit.finished_at, "1h"), plantimestamp()), -1) > 0
    error_message = "No orders for an hour."
  }
}
