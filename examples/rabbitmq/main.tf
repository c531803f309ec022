# Two queues and a super stream of RabbitMQ, each in a repo: a folder for each
# queue, and for each partition of the super stream.

resource "pachyderm_secret" "rabbitmq" {
  name            = "rabbitmq-spout"
  data_wo         = { username = var.username, password = var.password }
  data_wo_version = var.password_version
}

resource "pachyderm_spout" "orders" {
  name          = "orders"
  image         = var.image
  force_destroy = var.force_destroy

  rabbitmq = {
    addresses          = [for host in var.hosts : "${host}:${var.amqp_port}"]
    queues             = ["orders", "payments"]
    credentials_secret = { name = pachyderm_secret.rabbitmq.name }
    tls                = var.tls ? {} : null
  }
  file  = { format = "jsonl" }
  batch = { max_age = "10s" }
}

resource "pachyderm_spout" "clicks" {
  name          = "clicks"
  image         = var.image
  force_destroy = var.force_destroy

  rabbitmq = {
    addresses          = [for host in var.hosts : "${host}:${var.stream_port}"]
    super_streams      = ["clicks"]
    credentials_secret = { name = pachyderm_secret.rabbitmq.name }
    tls                = var.tls ? {} : null
    on_gap             = "skip" # what retention has dropped is told of in the commits
  }
  file  = { format = "parquet", compression = "zstd", path = "{stream}/{year}-{month}-{day}/{first_offset}.{ext}" }
  batch = { max_bytes = "64MiB", max_age = "1m" }
}
