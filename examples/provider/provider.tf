terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

# The token comes from the environment variable PACHYDERM_AUTH_TOKEN, which
# keeps it out of the configuration.
provider "pachyderm" {
  address = "grpcs://pachyderm.example.com:443"

  # Refuses to work with any other cluster. The data source pachyderm_cluster shows its deployment_id.
  cluster_deployment_id = "dev-7f3a9c"
}
