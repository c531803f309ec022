# A spout with code of its own: here a shell script, in any image with a shell and pachctl.
terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

variable "image" {
  description = "Image with /bin/sh and pachctl of the cluster's version."
  type        = string
}

resource "pachyderm_spout" "numbers" {
  name = "numbers"

  transform = {
    image = var.image
    cmd   = ["/bin/sh", "-c", file("${path.module}/spout.sh")]
  }

  force_destroy = true # what it makes can be made again
}

output "repo" {
  description = "The repo with the numbers."
  value       = pachyderm_spout.numbers.output_repo
}
