# A spout with code of its own: spout.py, in the image that the Dockerfile beside it makes.
terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

variable "image" {
  description = "The image, such as registry.example.com/numbers:1."
  type        = string
}

resource "pachyderm_spout" "numbers" {
  name = "numbers"

  transform = {
    image = var.image
    cmd   = ["python3", "/app/spout.py"] # the image's ENTRYPOINT is not looked at
  }

  force_destroy = true # what it makes can be made again
}

output "repo" {
  description = "The repo with the numbers."
  value       = pachyderm_spout.numbers.output_repo
}
