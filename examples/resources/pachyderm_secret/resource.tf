variable "kafka_password" {
  type      = string
  sensitive = true
  ephemeral = true # it is in no plan and no state
}

resource "pachyderm_secret" "kafka" {
  name = "kafka-credentials"

  data_wo = {
    username = "ingest"
    password = var.kafka_password
  }
  data_wo_version = 1 # change it along with data_wo
}

# A spout that restarts whenever the secret is written.
resource "pachyderm_spout" "orders" {
  name = "orders"

  kafka = {
    brokers = ["kafka.example.com:9093"]
    topics  = ["orders"]
    tls     = {}
    sasl = {
      mechanism          = "scram-sha-512"
      credentials_secret = { name = pachyderm_secret.kafka.name }
    }
  }
  restart_triggers = { credentials = pachyderm_secret.kafka.created_at }
}

# Certificate and key, for files in the spout's pod.
resource "pachyderm_secret" "tls" {
  name   = "ingest-tls"
  type   = "kubernetes.io/tls"
  labels = { team = "ingest" }

  data_wo = {
    "tls.crt" = var.certificate
    "tls.key" = var.private_key
  }
  data_wo_version = 3
}

variable "certificate" {
  type = string
}

variable "private_key" {
  type      = string
  sensitive = true
  ephemeral = true
}
