resource "pachyderm_spout" "orders" {
  name = "orders"

  kafka = {
    brokers = ["kafka.example.com:9092"]
    topics  = ["orders"]
  }
}

# What the spout ingests, counted. The reference to the spout's output repo
# tells Terraform to create the spout first, and to destroy it last.
resource "pachyderm_pipeline" "orders_per_file" {
  name = "orders-per-file"

  spec = jsonencode({
    description = "Number of orders in each file"
    transform = {
      image = "alpine:3.22"
      cmd   = ["/bin/sh"]
      stdin = ["cd /pfs/orders && find . -type f | while read f; do mkdir -p \"/pfs/out/$(dirname \"$f\")\" && wc -l < \"$f\" > \"/pfs/out/$f\"; done"]
    }
    input = {
      pfs = { repo = pachyderm_spout.orders.output_repo, glob = "/*" }
    }
    resource_requests = { cpu = 0.5, memory = "128Mi" }
  })
}

# A specification that pachctl took so far, as it is. Its name is in the file.
resource "pachyderm_pipeline" "report" {
  spec = file("${path.module}/report.json")

  timeouts = {
    create = "5m"
  }
}
