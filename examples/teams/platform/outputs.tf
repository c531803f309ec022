output "project" {
  description = "The team's project."
  value       = pachyderm_project.this.name
}

output "repos" {
  description = "Output repo of each topic."
  value       = module.ingest.repos
}

output "branches" {
  description = "Branch that the team's pipelines should read, by topic."
  value       = module.ingest.branches
}

output "states" {
  description = "State of each topic's spout."
  value       = module.ingest.states
}
