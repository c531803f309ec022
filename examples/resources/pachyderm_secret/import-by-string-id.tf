import {
  to = pachyderm_secret.kafka
  id = "kafka-credentials"
}
