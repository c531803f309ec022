data "pachyderm_spouts" "all" {
  project = "sales"
}

output "not_running" {
  value = [for s in data.pachyderm_spouts.all.spouts : "${s.name}: ${s.state}" if s.state != "running"]
}
