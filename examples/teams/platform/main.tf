# What every team gets from the platform: a project of its own, the roles in
# it, and its topics as spouts with the platform's defaults.

resource "pachyderm_project" "this" {
  name        = var.team
  description = "Data of the team ${var.team}"
}

resource "pachyderm_role_binding" "members" {
  for_each = var.members

  resource = {
    type = "project"
    name = pachyderm_project.this.name
  }
  principal = each.value
  roles     = ["projectOwner"]
}

module "ingest" {
  source = "../../modules/kafka-ingest"

  project     = pachyderm_project.this.name
  name_prefix = "${var.team}-"
  brokers     = var.kafka.brokers
  tls         = var.kafka.tls ? {} : null
  sasl = var.kafka.credentials_secret == null ? null : {
    mechanism          = "scram-sha-512"
    credentials_secret = { name = var.kafka.credentials_secret }
  }

  topics  = var.topics
  batch   = { max_age = "5s" }
  file    = { format = "lines" }
  trigger = { commits = 10, rate_limit_spec = "@every 1m" }

  labels            = { team = var.team }
  resource_requests = { cpu = 0.1, memory = "256Mi" }

  image         = var.image
  force_destroy = var.force_destroy
}
