# Spouts have the key of their topic; with shards "orders/1-of-4" and so on.

output "sources" {
  description = "What to read of each topic: a list of project, repo, branch and name, of as many elements as it has shards. As the input of a pipeline: { union = [for s in module.ingest.sources[\"orders\"] : { pfs = merge(s, { glob = \"/*/*\" }) }] }."
  value = { for topic, t in local.topics : topic => [for key, s in local.spouts : {
    project = pachyderm_spout.this[key].project
    repo    = pachyderm_spout.this[key].output_repo
    branch  = local.branches[key]
    name    = t.name # one folder below /pfs for all shards
  } if s.topic == topic] }
}

output "repos" {
  description = "Output repo of each spout, for the input of a pipeline."
  value       = { for key, spout in pachyderm_spout.this : key => spout.output_repo }
}

output "branches" {
  description = "Branch that pipelines should read, by spout: the one with the trigger, or else the spout's output branch."
  value       = local.branches
}

output "states" {
  description = "State of each spout as of the last refresh, as \"running\" or \"paused\"."
  value       = { for key, spout in pachyderm_spout.this : key => spout.state }
}

output "spouts" {
  description = "The spouts, with all attributes."
  value       = pachyderm_spout.this
}
