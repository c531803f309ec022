# Topics of Apache Kafka, read by the bundled runner. Each batch is one commit.
resource "pachyderm_spout" "orders" {
  name        = "orders"
  description = "Orders and payments, as they come in"

  kafka = {
    brokers = ["kafka-0.example.com:9093", "kafka-1.example.com:9093"]
    topics  = ["orders", "payments"]
    start   = "earliest"

    tls = {}
    sasl = {
      mechanism          = "scram-sha-512"
      credentials_secret = { name = "kafka-credentials" }
    }
  }

  batch = {
    max_bytes = "32MiB"
    max_age   = "30s"
  }
  file = {
    format      = "jsonl"
    compression = "zstd"
    path        = "{topic}/{year}-{month}-{day}/country={value:customer.country}/{partition}-{first_offset}-{last_offset}.{ext}"
  }
  records = {
    filter     = "value:status in (paid, refunded) and header:env != test"
    mask       = ["customer.email=hash", "card.number=redact"]
    on_refused = "dead_letter" # what is no JSON goes to /_dead_letters
  }

  resource_requests = {
    cpu    = 0.5
    memory = "512Mi"
  }
}

# Any image whose code writes into the output repo.
resource "pachyderm_spout" "sensors" {
  name = "sensors"

  transform = {
    image = "registry.example.com/sensors@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    cmd   = ["python3", "/app/main.py"]
  }
  env = {
    MQTT_HOST = "mqtt.example.com"
  }
  secret_env = {
    MQTT_PASSWORD = { secret = "mqtt", key = "password" }
  }

  # Devices push their data to this port.
  service = {
    internal_port = 8000
    external_port = 8000
    type          = "ClusterIP"
  }
}

# Fails the apply, without replacing the spout, if its code does not work.
data "pachyderm_spout" "sensors" {
  name       = pachyderm_spout.sensors.name
  depends_on = [pachyderm_spout.sensors]

  lifecycle {
    postcondition {
      condition     = self.healthy
      error_message = "The spout is ${self.state}. Its last error: ${coalesce(self.last_error, "none")}."
    }
  }
}
