# Two spouts of one NATS server: a stream that is read by sequence, and a work
# queue whose messages are acknowledged once they are in a commit.

resource "pachyderm_secret" "nats" {
  name            = "nats-reader"
  data_wo         = var.credentials
  data_wo_version = var.credentials_version
}

resource "pachyderm_spout" "orders" {
  name          = "orders"
  image         = var.image
  force_destroy = var.force_destroy

  nats = {
    servers  = var.servers
    stream   = "ORDERS"
    subjects = ["orders.eu.>"]
    on_gap   = "skip" # the stream deletes messages after a while, read or not

    credentials_secret          = { name = pachyderm_secret.nats.name }
    allow_cleartext_credentials = var.allow_cleartext_credentials
    tls                         = var.tls
  }

  # A folder for each subject.
  file = {
    format = "jsonl"
    path   = "{key}/{first_sequence}-{last_sequence}.{ext}"
  }
}

resource "pachyderm_spout" "jobs" {
  name          = "jobs"
  image         = var.image
  force_destroy = var.force_destroy

  nats = {
    servers         = var.servers
    stream          = "JOBS"
    retention       = "workqueue"
    consumer        = "jobs-spout"
    max_ack_pending = 5000

    credentials_secret          = { name = pachyderm_secret.nats.name }
    allow_cleartext_credentials = var.allow_cleartext_credentials
    tls                         = var.tls
  }

  file  = { format = "jsonl" }
  batch = { max_age = "5s" }
}
