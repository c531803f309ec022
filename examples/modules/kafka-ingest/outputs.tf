output "repos" {
  description = "Output repo of each topic, for the input of a pipeline."
  value       = { for topic, spout in pachyderm_spout.this : topic => spout.output_repo }
}

output "branches" {
  description = "Branch that pipelines should read, by topic: the one with the trigger, or else the spout's output branch."
  value = { for topic, spout in pachyderm_spout.this : topic =>
    contains(keys(local.triggers), topic) ? pachyderm_branch.batched[topic].name : spout.output_branch
  }
}

output "states" {
  description = "State of each topic's spout as of the last refresh, as \"running\" or \"paused\"."
  value       = { for topic, spout in pachyderm_spout.this : topic => spout.state }
}

output "spouts" {
  description = "The spouts by topic, with all attributes."
  value       = pachyderm_spout.this
}
