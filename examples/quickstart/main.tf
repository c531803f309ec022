# One topic of Apache Kafka becomes files in a versioned repo.
terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

provider "pachyderm" {
  address = var.address
}

resource "pachyderm_spout" "quickstart" {
  name        = var.name
  description = "Records of ${var.topic}, as JSON lines"

  kafka = {
    brokers = var.brokers
    topics  = [var.topic]
  }

  batch = { max_age = "2s" }
  file  = { format = "jsonl" }

  image         = var.image
  force_destroy = var.force_destroy
}
