import {
  to = pachyderm_secret.kafka
  identity = {
    name = "kafka-credentials"
  }
}
