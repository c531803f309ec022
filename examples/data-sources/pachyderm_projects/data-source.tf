data "pachyderm_projects" "teams" {
  name_prefix = "team-"
}

output "teams" {
  value = data.pachyderm_projects.teams.names
}
