# Events of GitHub, of a shop and of anything that speaks CloudEvents, in one
# repo: a folder for each endpoint.

resource "pachyderm_secret" "webhooks" {
  name            = "events-webhooks"
  data_wo         = var.secrets
  data_wo_version = var.secrets_version
}

resource "pachyderm_spout" "events" {
  name          = "events"
  image         = var.image
  force_destroy = var.force_destroy

  webhook = {
    port = 8080
    endpoints = {
      github = {
        auth         = "github"
        secret_files = ["/secrets/github", "/secrets/github-next"] # both are good, so that one can be replaced
      }
      shop = {
        auth             = "hmac"
        secret_files     = ["/secrets/shop"]
        signature_header = "X-Shop-Signature"
        signature_text   = "{timestamp}.{body}"
        timestamp_header = "X-Shop-Timestamp"
        id               = "header:X-Shop-Event"
        body             = "ndjson"
        max_rate         = 100
      }
      cloudevents = {
        auth         = "standard"
        secret_files = ["/secrets/cloudevents"]
        body         = "cloudevents"
      }
    }
  }
  secret_mounts = { "/secrets" = pachyderm_secret.webhooks.name }

  # Senders reach the pod through kubernetes.yaml, whose service keeps its name.
  # This one has the pipeline's version in its name; it is for a look from
  # within the cluster.
  service = {
    internal_port = 8080
    external_port = 8080
    type          = "ClusterIP"
  }

  file  = { format = "jsonl" }
  batch = { max_age = "1s" }
}
