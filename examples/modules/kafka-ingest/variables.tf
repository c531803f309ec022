variable "project" {
  description = "Pachyderm project of the spouts. Left out, the provider's default_project."
  type        = string
  default     = null
}

variable "name_prefix" {
  description = "What the names of the spouts, and of their output repos, begin with, as \"payments-\". The rest is the topic's name."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.name_prefix == "" || can(regex("^[a-z0-9][-a-z0-9]*$", var.name_prefix))
    error_message = "name_prefix must have lower-case letters, digits and '-', and begin with a letter or digit."
  }
}

variable "brokers" {
  description = "Kafka brokers, as host:port, that pods of the cluster can reach."
  type        = list(string)

  validation {
    condition     = length(var.brokers) > 0
    error_message = "brokers must name at least one broker, as \"kafka.example.com:9093\"."
  }
  validation {
    condition     = alltrue([for b in var.brokers : can(regex("^[^:/ ]+:[0-9]+$|^\\[[0-9a-fA-F:]+\\]:[0-9]+$", b))])
    error_message = "Each of brokers must be host:port, without a scheme, as \"kafka.example.com:9093\"."
  }
}

variable "topics" {
  description = <<-EOT
    What to read, by the topic's name. Each topic becomes a spout of its own. `{}` takes all defaults. A topic can have:
    - name: name of the spout after name_prefix. Default: the topic's name in lower case, with '-' for all but letters and digits.
    - shards: how many spouts share the topic's partitions, 1 to 64. Default: 1. See the README before you change it.
    - description: what the spout is for. Default: "Topic <name>".
    - start: where to begin while the output repo is empty: "earliest", "latest" or a time in RFC 3339. Default: var.start.
    - start_offsets: where single partitions begin while the output repo is empty: { "0" = 1200, "1" = 1180 }.
    - batch, file, kafka: as the variables of the same name, attribute by attribute.
    - records: which records are written and what is taken out of them, as records of the resource pachyderm_spout.
    - trigger: as the variable of the same name, in its place.
    - labels: added to var.labels.
    - resource_requests, paused: in place of the variables of the same name.
  EOT
  type = map(object({
    name          = optional(string)
    shards        = optional(number, 1)
    description   = optional(string)
    start         = optional(string)
    start_offsets = optional(map(number))
    batch = optional(object({
      max_bytes   = optional(string)
      max_records = optional(number)
      max_files   = optional(number)
      max_age     = optional(string)
    }), {})
    file = optional(object({
      format          = optional(string)
      compression     = optional(string)
      path            = optional(string)
      path_time       = optional(string)
      recursion_depth = optional(number)
    }), {})
    kafka = optional(object({
      client_id          = optional(string)
      group_id           = optional(string)
      rack               = optional(string)
      isolation          = optional(string)
      on_out_of_range    = optional(string)
      on_topic_recreated = optional(string)
      on_corrupt_batch   = optional(string)
      on_shard_changed   = optional(string)
      metadata_interval  = optional(string)
      fetch_max_bytes    = optional(string)
      max_batch_bytes    = optional(string)
      fetch_max_wait     = optional(string)
    }), {})
    records = optional(object({
      filter = optional(string)
      fields = optional(list(string))
      mask   = optional(list(string))
      mask_key_secret = optional(object({
        name = string
        key  = optional(string)
      }))
      max_bytes          = optional(string)
      on_null            = optional(string)
      on_refused         = optional(string)
      dead_letter_folder = optional(string)
    }))
    trigger = optional(object({
      branch          = optional(string, "batched")
      all             = optional(bool, false)
      commits         = optional(number)
      size            = optional(string)
      rate_limit_spec = optional(string)
    }))
    labels = optional(map(string), {})
    resource_requests = optional(object({
      cpu    = optional(string)
      memory = optional(string)
      disk   = optional(string)
    }))
    paused = optional(bool)
  }))
  nullable = false

  validation {
    condition     = alltrue([for topic in keys(var.topics) : can(regex("^[a-zA-Z0-9._-]{1,249}$", topic))])
    error_message = "The keys of topics are names of Kafka topics: letters, digits, '.', '_' and '-', at most 249."
  }
  validation {
    condition     = alltrue([for t in values(var.topics) : t.shards >= 1 && t.shards <= 64 && floor(t.shards) == t.shards])
    error_message = "shards must be a whole number from 1 to 64, and no more than the topic has partitions."
  }
  validation {
    condition = alltrue([for topic, t in var.topics :
      can(regex("^[a-z0-9]([-a-z0-9]{0,49}[a-z0-9])?$", join("", [
        var.name_prefix, coalesce(t.name, lower(replace(topic, "/[^a-zA-Z0-9]+/", "-"))), t.shards == 1 ? "" : "-${t.shards}-of-${t.shards}"
      ])))
    ])
    error_message = "name_prefix, a topic's name and, with shards, \"-1-of-4\" make the name of a spout: 1 to 51 lower-case letters, digits and '-', with a letter or digit at both ends. Set name for a topic whose own does not fit."
  }
  validation {
    condition = length(flatten([for t in values(var.topics) : range(t.shards)])) == length(distinct(flatten([for topic, t in var.topics : [
      for i in range(1, t.shards + 1) : join("", [coalesce(t.name, lower(replace(topic, "/[^a-zA-Z0-9]+/", "-"))), t.shards == 1 ? "" : "-${i}-of-${t.shards}"])
    ]])))
    error_message = "Two of topics make the same name of a spout. Set name for one of them."
  }
}

variable "start" {
  description = "Where to begin while an output repo is empty: \"earliest\", \"latest\" or a time in RFC 3339."
  type        = string
  default     = null
}

variable "batch" {
  description = "When a batch becomes a commit: as soon as one of the limits is reached. Left out, 64MiB, no limit of records, 10000 files, 10s."
  type = object({
    max_bytes   = optional(string)
    max_records = optional(number)
    max_files   = optional(number)
    max_age     = optional(string)
  })
  default  = {}
  nullable = false
}

variable "file" {
  description = "How records become files: format, compression, and the path with placeholders, as file of the resource pachyderm_spout."
  type = object({
    format          = optional(string)
    compression     = optional(string)
    path            = optional(string)
    path_time       = optional(string)
    recursion_depth = optional(number)
  })
  default  = {}
  nullable = false
}

variable "kafka" {
  description = "How Kafka is read otherwise, as these attributes of kafka of the resource pachyderm_spout. Topics should not share a group_id with others; the shards of one do."
  type = object({
    client_id          = optional(string)
    group_id           = optional(string)
    rack               = optional(string)
    isolation          = optional(string)
    on_out_of_range    = optional(string)
    on_topic_recreated = optional(string)
    on_corrupt_batch   = optional(string)
    on_shard_changed   = optional(string)
    metadata_interval  = optional(string)
    fetch_max_bytes    = optional(string)
    max_batch_bytes    = optional(string)
    fetch_max_wait     = optional(string)
  })
  default  = {}
  nullable = false
}

variable "trigger" {
  description = <<-EOT
    Makes a branch beside each output branch that follows it in larger steps, for pipelines that are to run less often than a
    spout commits. One of the conditions is enough, or all of them if all is true: commits (a number), size (as "1GB", powers of
    1000), rate_limit_spec (at most once in a period, as "@hourly"). Left out, there is no such branch.
  EOT
  type = object({
    branch          = optional(string, "batched")
    all             = optional(bool, false)
    commits         = optional(number)
    size            = optional(string)
    rate_limit_spec = optional(string)
  })
  default = null

  validation {
    condition = var.trigger == null || anytrue([
      try(var.trigger.commits, null) != null, try(var.trigger.size, null) != null, try(var.trigger.rate_limit_spec, null) != null,
      coalesce(try(var.trigger.all, null), false),
    ])
    error_message = "trigger has no condition, so that its branch would never move. Set commits, size or rate_limit_spec."
  }
}

variable "schema_registry" {
  description = "Schema registry of the values, for avro, parquet and jsonl files, as schema_registry of the resource pachyderm_spout. Secrets are named, and are Kubernetes secrets in Pachyderm's namespace; files are those of secret_mounts."
  type = object({
    url           = string
    api           = optional(string)
    keys          = optional(string)
    logical_types = optional(string)
    folder        = optional(string)
    token_url     = optional(string)
    scope         = optional(string)

    allow_cleartext_credentials = optional(bool)

    tls = optional(object({
      ca_certificate   = optional(string)
      server_name      = optional(string)
      ca_file          = optional(string)
      certificate_file = optional(string)
      private_key_file = optional(string)
      client_certificate_secret = optional(object({
        name            = string
        certificate_key = optional(string)
        private_key_key = optional(string)
      }))
    }))
    credentials_secret = optional(object({
      name         = string
      username_key = optional(string)
      password_key = optional(string)
    }))
    token_secret = optional(object({
      name = string
      key  = optional(string)
    }))
  })
  default = null
}

variable "tls" {
  description = "TLS towards the brokers. `{}` trusts the system's authorities. Left out, connections are not encrypted. client_certificate_secret names a Kubernetes secret in Pachyderm's namespace; the files are those of secret_mounts."
  type = object({
    ca_certificate   = optional(string)
    server_name      = optional(string)
    ca_file          = optional(string)
    certificate_file = optional(string)
    private_key_file = optional(string)
    client_certificate_secret = optional(object({
      name            = string
      certificate_key = optional(string)
      private_key_key = optional(string)
    }))
  })
  default = null
}

variable "sasl" {
  description = "SASL towards the brokers. credentials_secret names a Kubernetes secret in Pachyderm's namespace, with the keys username and password if no others are named. For the mechanism oauthbearer those are the client's id and secret, and token_url is needed. Nothing secret passes through this module."
  type = object({
    mechanism  = string
    token_url  = optional(string)
    scope      = optional(string)
    extensions = optional(list(string))

    allow_cleartext_credentials = optional(bool)

    credentials_secret = object({
      name         = string
      username_key = optional(string)
      password_key = optional(string)
    })
  })
  default = null

  validation {
    condition     = var.sasl == null || contains(["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"], try(var.sasl.mechanism, ""))
    error_message = "sasl.mechanism must be \"plain\", \"scram-sha-256\", \"scram-sha-512\" or \"oauthbearer\"."
  }
}

variable "labels" {
  description = "Kubernetes labels of the pods, by which alerts find their owner, as { team = \"payments\" }."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "annotations" {
  description = "Kubernetes annotations of the pods. One that changes restarts them; to do only that, see restart_triggers."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "restart_triggers" {
  description = "Values of any kind. A change of one restarts the spouts, as after a change of a secret: { kafka = pachyderm_secret.kafka.created_at }."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secret_mounts" {
  description = "Kubernetes secrets whose keys the pods see as files, by folder, as { \"/etc/kafka\" = \"kafka-tls\" }."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "resource_requests" {
  description = "What each spout's container asks for: cpu (as 0.5 or \"500m\"), memory and disk (as \"512Mi\"). Left out, Pachyderm decides."
  type = object({
    cpu    = optional(string)
    memory = optional(string)
    disk   = optional(string)
  })
  default = null
}

variable "runner" {
  description = "The runner itself: memory_budget (as \"256MiB\"), http_port of the status page, /metrics and /readyz, with http_address, http_hosts, http_token_secret and http_tls_secret, log_level, prometheus_scrape (false leaves out the annotations for Prometheus), image_pull_secrets."
  type = object({
    memory_budget      = optional(string)
    http_port          = optional(number)
    http_address       = optional(string)
    http_hosts         = optional(list(string))
    http_token_secret  = optional(object({ name = string, key = optional(string) }))
    http_tls_secret    = optional(object({ name = string, certificate_key = optional(string), private_key_key = optional(string) }))
    log_level          = optional(string)
    prometheus_scrape  = optional(bool)
    image_pull_secrets = optional(list(string))
  })
  default = null
}

variable "paused" {
  description = "Whether the spouts are stopped."
  type        = bool
  default     = false
  nullable    = false
}

variable "image" {
  description = "Image of the runner, best with a digest. Left out, the one released with the provider, so that an upgrade of the provider restarts the spouts."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether destroy deletes what was ingested. It must be applied before the destroy."
  type        = bool
  default     = false
  nullable    = false
}
