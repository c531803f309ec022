# What is planned, without a Pachyderm.
mock_provider "pachyderm" {
  mock_resource "pachyderm_spout" {
    defaults = {
      output_repo   = "repo"
      output_branch = "master"
      state         = "running"
    }
  }
}

variables {
  project     = "payments"
  name_prefix = "payments-"
  brokers     = ["kafka.example.com:9093"]
  topics = {
    "Orders.v1" = {}
    "refunds"   = { name = "returns", start = "latest", batch = { max_age = "1m" }, labels = { tier = "gold" }, paused = true }
  }
}

run "defaults" {
  command = plan

  assert {
    condition     = length(pachyderm_spout.this) == 2 && length(pachyderm_branch.batched) == 0
    error_message = "there is not one spout for each topic and no branch"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].name == "payments-orders-v1" && pachyderm_spout.this["refunds"].name == "payments-returns"
    error_message = "the names are not made of prefix and topic"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].project == "payments"
    error_message = "the project is not passed on"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].kafka.topics == tolist(["Orders.v1"])
    error_message = "a spout reads another topic than its own"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].batch == null && pachyderm_spout.this["Orders.v1"].file == null && pachyderm_spout.this["Orders.v1"].kafka.tls == null && pachyderm_spout.this["Orders.v1"].metadata == null
    error_message = "what nobody has set is sent"
  }
  assert {
    condition     = pachyderm_spout.this["refunds"].kafka.start == "latest" && pachyderm_spout.this["refunds"].batch.max_age == "1m"
    error_message = "a topic's own settings are not passed on"
  }
  assert {
    condition     = pachyderm_spout.this["refunds"].paused && !pachyderm_spout.this["Orders.v1"].paused
    error_message = "not the topic that is paused is paused"
  }
  assert {
    condition     = !pachyderm_spout.this["Orders.v1"].force_destroy
    error_message = "destroy deletes data by default"
  }
}

run "shared_settings" {
  command = plan

  variables {
    batch             = { max_bytes = "32MiB", max_age = "30s" }
    file              = { format = "jsonl" }
    tls               = {}
    sasl              = { mechanism = "scram-sha-512", credentials_secret = { name = "kafka" } }
    labels            = { team = "payments", tier = "bronze" }
    annotations       = { kafka = "2026-01-31T00:00:00Z" }
    resource_requests = { cpu = 0.5, memory = "512Mi" }
    image             = "registry.example.com/spout-runner:1.0.0"
    paused            = true
  }

  assert {
    condition     = pachyderm_spout.this["refunds"].batch.max_bytes == "32MiB" && pachyderm_spout.this["refunds"].batch.max_age == "1m"
    error_message = "a topic's batch is not taken attribute by attribute"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].batch.max_age == "30s" && pachyderm_spout.this["Orders.v1"].file.format == "jsonl"
    error_message = "the shared batch or file is not taken"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].kafka.tls != null && pachyderm_spout.this["Orders.v1"].kafka.sasl.credentials_secret.name == "kafka"
    error_message = "TLS or SASL is not passed on"
  }
  assert {
    condition     = pachyderm_spout.this["refunds"].metadata.labels == tomap({ team = "payments", tier = "gold" }) && pachyderm_spout.this["Orders.v1"].metadata.labels["tier"] == "bronze"
    error_message = "a topic's labels do not come on top of the shared ones"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].metadata.annotations["kafka"] == "2026-01-31T00:00:00Z"
    error_message = "the annotations are not passed on"
  }
  assert {
    condition     = pachyderm_spout.this["Orders.v1"].resource_requests.cpu == "0.5" && pachyderm_spout.this["Orders.v1"].image == "registry.example.com/spout-runner:1.0.0" && pachyderm_spout.this["Orders.v1"].paused
    error_message = "resources, image or paused are not passed on"
  }
}

run "triggers" {
  command = apply

  variables {
    topics = {
      orders  = {}
      refunds = { trigger = { branch = "daily", rate_limit_spec = "@daily" } }
    }
    trigger = { size = "1GB", rate_limit_spec = "@hourly" }
  }

  assert {
    condition     = pachyderm_branch.batched["orders"].name == "batched" && pachyderm_branch.batched["orders"].trigger.size == "1GB"
    error_message = "the shared trigger is not taken"
  }
  assert {
    condition     = pachyderm_branch.batched["orders"].trigger.branch == "master" && pachyderm_branch.batched["orders"].repo == "repo"
    error_message = "the trigger does not follow the spout's output branch"
  }
  assert {
    condition     = pachyderm_branch.batched["refunds"].trigger.size == null && pachyderm_branch.batched["refunds"].trigger.rate_limit_spec == "@daily"
    error_message = "a topic's trigger does not replace the shared one"
  }
  assert {
    condition     = output.branches == { orders = "batched", refunds = "daily" } && output.repos["orders"] == "repo" && output.states["refunds"] == "running"
    error_message = "the outputs do not say what to read"
  }
}

run "output_branch_without_trigger" {
  command = apply

  assert {
    condition     = output.branches["refunds"] == "master"
    error_message = "without a trigger, pipelines should read the output branch"
  }
}

run "shards" {
  command = apply

  variables {
    topics = {
      "Orders.v1" = { shards = 3, trigger = { commits = 5 } }
      refunds     = { shards = 1 }
    }
  }

  assert {
    condition     = { for key, s in pachyderm_spout.this : key => "${s.name} ${coalesce(s.kafka.shard, "all")}" } == { "Orders.v1/1-of-3" = "payments-orders-v1-1-of-3 1/3", "Orders.v1/2-of-3" = "payments-orders-v1-2-of-3 2/3", "Orders.v1/3-of-3" = "payments-orders-v1-3-of-3 3/3", refunds = "payments-refunds all" }
    error_message = "a topic does not have a spout for each shard, or a name does not say which"
  }
  assert {
    condition     = alltrue([for key in keys(pachyderm_branch.batched) : startswith(key, "Orders.v1/")]) && length(pachyderm_branch.batched) == 3
    error_message = "not each shard has its branch"
  }
  assert {
    condition     = [for s in output.sources["Orders.v1"] : "${s.branch} ${s.name}"] == ["batched payments-orders-v1", "batched payments-orders-v1", "batched payments-orders-v1"]
    error_message = "the sources of a topic are not those of its shards, in one folder"
  }
  assert {
    condition     = length(output.sources["refunds"]) == 1 && output.sources["refunds"][0].name == "payments-refunds"
    error_message = "a topic without shards does not have one source"
  }
}

run "brokers_with_oauth_and_files" {
  command = plan

  variables {
    topics = {
      orders  = {}
      refunds = { kafka = { group_id = "refunds", on_topic_recreated = "restart" } }
    }
    kafka = { rack = "eu-1a", on_out_of_range = "earliest", on_topic_recreated = "stop" }
    sasl = {
      mechanism          = "oauthbearer"
      token_url          = "https://login.example.com/token"
      scope              = "kafka"
      extensions         = ["logicalCluster=lkc-1"]
      credentials_secret = { name = "kafka" }
    }
    tls              = { ca_file = "/etc/kafka/ca.crt", certificate_file = "/etc/kafka/tls.crt", private_key_file = "/etc/kafka/tls.key" }
    secret_mounts    = { "/etc/kafka" = "kafka-tls" }
    runner           = { prometheus_scrape = false, image_pull_secrets = ["registry"] }
    restart_triggers = { kafka = "2026-01-31T00:00:00Z" }
  }

  assert {
    condition     = pachyderm_spout.this["orders"].kafka.sasl.token_url == "https://login.example.com/token" && pachyderm_spout.this["orders"].kafka.sasl.scope == "kafka" && pachyderm_spout.this["orders"].kafka.sasl.extensions[0] == "logicalCluster=lkc-1"
    error_message = "what goes with oauthbearer is not passed on"
  }
  assert {
    condition     = pachyderm_spout.this["orders"].kafka.tls.certificate_file == "/etc/kafka/tls.crt" && pachyderm_spout.this["orders"].kafka.tls.ca_file != null && pachyderm_spout.this["orders"].kafka.tls.private_key_file != null && pachyderm_spout.this["orders"].secret_mounts["/etc/kafka"] == "kafka-tls"
    error_message = "the files are not passed on"
  }
  assert {
    condition     = pachyderm_spout.this["refunds"].kafka.rack == "eu-1a" && pachyderm_spout.this["refunds"].kafka.on_topic_recreated == "restart" && pachyderm_spout.this["refunds"].kafka.group_id == "refunds" && pachyderm_spout.this["orders"].kafka.group_id == null && pachyderm_spout.this["orders"].kafka.on_topic_recreated == "stop"
    error_message = "a topic's kafka is not taken attribute by attribute"
  }
  assert {
    condition     = pachyderm_spout.this["orders"].runner.prometheus_scrape == false && pachyderm_spout.this["orders"].runner.image_pull_secrets[0] == "registry" && pachyderm_spout.this["orders"].restart_triggers["kafka"] == "2026-01-31T00:00:00Z"
    error_message = "runner or restart_triggers are not passed on"
  }
}
