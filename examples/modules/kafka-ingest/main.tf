# One spout for each topic, so that a topic can be paused, changed or removed
# by itself, and one that cannot be read holds up no other.

locals {
  # What the topics leave out is taken from the variables.
  topics = { for topic, t in var.topics : topic => merge(t, {
    name    = "${var.name_prefix}${coalesce(t.name, lower(replace(topic, "/[^a-zA-Z0-9]+/", "-")))}"
    batch   = { for k, v in var.batch : k => t.batch[k] != null ? t.batch[k] : v }
    file    = { for k, v in var.file : k => t.file[k] != null ? t.file[k] : v }
    trigger = t.trigger != null ? t.trigger : var.trigger
    labels  = merge(var.labels, t.labels)
  }) }

  triggers = { for topic, t in local.topics : topic => t.trigger if t.trigger != null }
}

resource "pachyderm_spout" "this" {
  for_each = local.topics

  project     = var.project
  name        = each.value.name
  description = coalesce(each.value.description, "Topic ${each.key}")

  kafka = {
    brokers = var.brokers
    topics  = [each.key]
    start   = each.value.start != null ? each.value.start : var.start
    batch   = anytrue([for v in values(each.value.batch) : v != null]) ? each.value.batch : null
    file    = anytrue([for v in values(each.value.file) : v != null]) ? each.value.file : null
    records = each.value.records
    tls     = var.tls
    sasl    = var.sasl
  }

  metadata = length(each.value.labels) + length(var.annotations) == 0 ? null : {
    labels      = length(each.value.labels) > 0 ? each.value.labels : null
    annotations = length(var.annotations) > 0 ? var.annotations : null
  }
  resource_requests = each.value.resource_requests != null ? each.value.resource_requests : var.resource_requests

  image         = var.image
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
