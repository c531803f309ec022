terraform {
  required_version = ">= 1.9"

  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }

  # In HCP Terraform, take the marks away, and set PACHYDERM_AUTH_TOKEN as a
  # sensitive environment variable of the workspace (see README.md).
  #
  # cloud {
  #   organization = "example"
  #   workspaces {
  #     name = "pachyderm-teams"
  #   }
  # }
}

provider "pachyderm" {
  address = var.address # the token comes from PACHYDERM_AUTH_TOKEN
}
