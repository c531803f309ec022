terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

# The project and the name of a spout that is known by its id.
output "project" {
  value = provider::pachyderm::parse_id("default/orders").project
}

# Null, since the id has none.
output "branch" {
  value = provider::pachyderm::parse_id("default/orders").branch
}
