output "repo" {
  description = "Repo that the files are in: pachctl list file <repo>@master"
  value       = pachyderm_spout.quickstart.output_repo
}

output "state" {
  description = "State of the spout when it was applied."
  value       = pachyderm_spout.quickstart.state
}
