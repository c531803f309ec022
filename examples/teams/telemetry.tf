# The team that watches devices: one busy topic, in larger files.

module "telemetry" {
  source = "./platform"

  team = "telemetry"
  topics = {
    "devices.readings" = {
      name    = "readings"
      start   = "latest"
      batch   = { max_bytes = "32MiB", max_age = "1m" }
      file    = { format = "jsonl", compression = "zstd" }
      trigger = { size = "1GB", rate_limit_spec = "@hourly" }
    }
  }

  kafka         = var.kafka
  image         = var.image
  force_destroy = var.force_destroy
}

resource "pachyderm_pipeline" "readings_size" {
  project       = module.telemetry.project
  name          = "readings-size"
  force_destroy = var.force_destroy

  spec = jsonencode({
    description = "Bytes of all readings"
    transform = {
      image = "debian:12"
      cmd   = ["/bin/sh"]
      stdin = ["du -sbL /pfs/readings > /pfs/out/size"]
    }
    input = {
      pfs = {
        name   = "readings"
        repo   = module.telemetry.repos["devices.readings"]
        branch = module.telemetry.branches["devices.readings"]
        glob   = "/"
      }
    }
    resource_requests = { cpu = 0.1, memory = "64M" }
  })
}
