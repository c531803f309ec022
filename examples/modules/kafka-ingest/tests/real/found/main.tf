# What Pachyderm says is there.
terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

variable "project" {
  description = "Project to look into."
  type        = string
}

data "pachyderm_spouts" "all" {
  project = var.project
}

data "pachyderm_repo" "each" {
  for_each = toset(data.pachyderm_spouts.all.spouts[*].output_repo)
  project  = var.project
  name     = each.key
}

data "pachyderm_branch" "batched" {
  for_each = toset([for name, repo in data.pachyderm_repo.each : name if contains(repo.branches, "batched")])
  project  = var.project
  repo     = each.key
  name     = "batched"
}

output "states" {
  value = { for spout in data.pachyderm_spouts.all.spouts : spout.name => spout.state }
}

output "triggers" {
  value = { for repo, branch in data.pachyderm_branch.batched : repo => branch.trigger.commits }
}
