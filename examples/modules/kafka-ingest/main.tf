# One spout for each topic, so that a topic can be paused, changed or removed
# by itself, and one that cannot be read holds up no other. A topic with shards
# has a spout for each of them.

locals {
  # What the topics leave out is taken from the variables.
  topics = { for topic, t in var.topics : topic => merge(t, {
    name    = "${var.name_prefix}${coalesce(t.name, lower(replace(topic, "/[^a-zA-Z0-9]+/", "-")))}"
    batch   = { for k, v in var.batch : k => t.batch[k] != null ? t.batch[k] : v }
    file    = { for k, v in var.file : k => t.file[k] != null ? t.file[k] : v }
    kafka   = { for k, v in var.kafka : k => t.kafka[k] != null ? t.kafka[k] : v }
    trigger = t.trigger != null ? t.trigger : var.trigger
    labels  = merge(var.labels, t.labels)
  }) }

  # The spouts by key: "orders", or "orders/1-of-4" to "orders/4-of-4". The
  # number of shards is in key and name, since a spout keeps to its partitions:
  # what it has read of them is in its repo.
  spouts = merge([for topic, t in local.topics : {
    for i in range(1, t.shards + 1) : (t.shards == 1 ? topic : "${topic}/${i}-of-${t.shards}") => merge(t, {
      topic = topic
      name  = t.shards == 1 ? t.name : "${t.name}-${i}-of-${t.shards}"
      shard = t.shards == 1 ? null : "${i}/${t.shards}"
    })
  }]...)

  triggers = { for key, s in local.spouts : key => s.trigger if s.trigger != null }

  branches = { for key, spout in pachyderm_spout.this : key =>
    contains(keys(local.triggers), key) ? pachyderm_branch.batched[key].name : spout.output_branch
  }
}

resource "pachyderm_spout" "this" {
  for_each = local.spouts

  project     = var.project
  name        = each.value.name
  description = coalesce(each.value.description, "Topic ${each.value.topic}${each.value.shard == null ? "" : ", shard ${each.value.shard}"}")

  kafka = {
    brokers = var.brokers
    topics  = [each.value.topic]
    shard   = each.value.shard
    start   = each.value.start != null ? each.value.start : var.start
    # Each shard takes those of its partitions.
    start_offsets = each.value.start_offsets == null ? null : { (each.value.topic) = each.value.start_offsets }
    tls           = var.tls
    sasl          = var.sasl

    client_id          = each.value.kafka.client_id
    group_id           = each.value.kafka.group_id
    rack               = each.value.kafka.rack
    isolation          = each.value.kafka.isolation
    on_out_of_range    = each.value.kafka.on_out_of_range
    on_topic_recreated = each.value.kafka.on_topic_recreated
    on_corrupt_batch   = each.value.kafka.on_corrupt_batch
    on_shard_changed   = each.value.kafka.on_shard_changed
    metadata_interval  = each.value.kafka.metadata_interval
    fetch_max_bytes    = each.value.kafka.fetch_max_bytes
    max_batch_bytes    = each.value.kafka.max_batch_bytes
    fetch_max_wait     = each.value.kafka.fetch_max_wait
  }
  batch           = anytrue([for v in values(each.value.batch) : v != null]) ? each.value.batch : null
  file            = anytrue([for v in values(each.value.file) : v != null]) ? each.value.file : null
  records         = each.value.records
  schema_registry = var.schema_registry

  metadata = length(each.value.labels) + length(var.annotations) == 0 ? null : {
    labels      = length(each.value.labels) > 0 ? each.value.labels : null
    annotations = length(var.annotations) > 0 ? var.annotations : null
  }
  secret_mounts     = length(var.secret_mounts) == 0 ? null : var.secret_mounts
  restart_triggers  = length(var.restart_triggers) == 0 ? null : var.restart_triggers
  resource_requests = each.value.resource_requests != null ? each.value.resource_requests : var.resource_requests

  image         = var.image
  runner        = var.runner
  paused        = coalesce(each.value.paused, var.paused)
  force_destroy = var.force_destroy
}

resource "pachyderm_branch" "batched" {
  for_each = local.triggers

  project = pachyderm_spout.this[each.key].project
  repo    = pachyderm_spout.this[each.key].output_repo
  name    = each.value.branch

  trigger = {
    branch          = pachyderm_spout.this[each.key].output_branch
    all             = each.value.all
    commits         = each.value.commits
    size            = each.value.size
    rate_limit_spec = each.value.rate_limit_spec
  }
}
