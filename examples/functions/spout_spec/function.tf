terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

locals {
  spout = {
    name = "orders"
    kafka = {
      brokers = ["kafka.example.com:9092"]
      topics  = ["orders"]
    }
  }
}

# What is to be reviewed, or submitted by "pachctl create pipeline -f".
output "spec" {
  value = provider::pachyderm::spout_spec(local.spout)
}

# What a test can assert.
output "topics" {
  value = jsondecode(provider::pachyderm::spout_spec(local.spout)).transform.env.SPOUT_KAFKA_TOPICS
}
