# What release-dry-run initialises from the mirror that it has made.
terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

provider "pachyderm" {
  address = "grpc://127.0.0.1:1"
}
