# The team that takes money: two topics, and a count of what they hold.

module "payments" {
  source = "./platform"

  team = "payments"
  topics = {
    orders  = {}
    refunds = { batch = { max_age = "30s" } }
  }

  kafka         = var.kafka
  image         = var.image
  force_destroy = var.force_destroy
}

resource "pachyderm_pipeline" "order_count" {
  project       = module.payments.project
  name          = "order-count"
  force_destroy = var.force_destroy

  spec = jsonencode({
    description = "How many orders there are"
    transform = {
      image = "debian:12"
      cmd   = ["/bin/sh"]
      stdin = ["find -L /pfs/orders -type f -exec cat {} + | wc -l > /pfs/out/count"]
    }
    input = {
      pfs = {
        name   = "orders"
        repo   = module.payments.repos["orders"]
        branch = module.payments.branches["orders"] # at most one job in a minute or ten commits
        glob   = "/"
      }
    }
    resource_requests = { cpu = 0.1, memory = "64M" }
  })
}
