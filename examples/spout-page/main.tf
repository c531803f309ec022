# The minimal specification of Pachyderm's page about spouts: an image of your
# own, whose code takes a data stream and puts it into the output repo.
terraform {
  required_providers {
    pachyderm = {
      source = "spoutworks/pachyderm"
    }
  }
}

resource "pachyderm_spout" "my_spout" {
  name = "my-spout"

  transform = {
    cmd   = ["go", "run", "./main.go"]
    image = "myaccount/myimage:0.1"
  }

  env = {
    HOST  = "kafkahost"
    TOPIC = "mytopic"
    PORT  = "9092"
  }
}
