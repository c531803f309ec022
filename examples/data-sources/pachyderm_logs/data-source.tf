# The spout's own words, for the last quarter of an hour.
data "pachyderm_logs" "orders" {
  pipeline = "orders"
  lines    = 20
  since    = "15m"
}

output "newest_lines" {
  value = data.pachyderm_logs.orders.messages
}
