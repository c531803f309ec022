# A project of the test's own, so that nothing else is touched.
terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

variable "name" {
  description = "Name of the project. There must not be one yet."
  type        = string
}

resource "pachyderm_project" "this" {
  name        = var.name
  description = "A test of the module kafka-ingest"
}

output "name" {
  value = pachyderm_project.this.name
}
