terraform {
  required_version = ">= 1.9"

  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}
