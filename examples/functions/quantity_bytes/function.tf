terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

variable "memory" {
  type    = string
  default = "2Gi"
}

resource "pachyderm_spout" "orders" {
  name = "orders"

  kafka = {
    brokers = ["kafka.example.com:9092"]
    topics  = ["orders"]
  }
  resource_requests = {
    memory = var.memory
  }

  lifecycle {
    precondition {
      condition     = provider::pachyderm::quantity_bytes(var.memory) >= provider::pachyderm::quantity_bytes("512Mi")
      error_message = "A spout needs 512Mi of memory at least."
    }
  }
}
