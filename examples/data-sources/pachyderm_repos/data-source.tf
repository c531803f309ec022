data "pachyderm_repos" "events" {
  project    = "default"
  name_regex = "-events$"
}

output "sizes" {
  value = { for repo in data.pachyderm_repos.events.repos : repo.name => repo.size_bytes }
}
