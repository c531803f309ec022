# Makes spouts in a real Pachyderm, in a project of their own, changes and
# destroys them. Kafka needs the topics orders and refunds:
#
#   terraform test -test-directory=tests/real -var 'brokers=["kafka.example.com:9092"]'

variables {
  name_prefix   = "trial-"
  topics        = { orders = { shards = 2, trigger = { commits = 2 } }, refunds = { start = "latest" } }
  batch         = { max_age = "1s" }
  file          = { format = "jsonl" }
  labels        = { team = "trial" }
  force_destroy = true
}

run "project" {
  module {
    source = "./tests/real/project"
  }
  variables {
    name = "kafka-ingest-trial"
  }
}

run "made" {
  variables {
    project = run.project.name
  }

  assert {
    condition     = output.states == { "orders/1-of-2" = "running", "orders/2-of-2" = "running", refunds = "running" }
    error_message = "the spouts are ${jsonencode(output.states)}"
  }
  assert {
    condition     = output.repos == { "orders/1-of-2" = "trial-orders-1-of-2", "orders/2-of-2" = "trial-orders-2-of-2", refunds = "trial-refunds" }
    error_message = "the repos are ${jsonencode(output.repos)}"
  }
  assert {
    condition     = output.branches == { "orders/1-of-2" = "batched", "orders/2-of-2" = "batched", refunds = "master" }
    error_message = "the branches are ${jsonencode(output.branches)}"
  }
  assert {
    condition     = [for s in output.sources["orders"] : "${s.project}/${s.repo}@${s.branch}"] == ["kafka-ingest-trial/trial-orders-1-of-2@batched", "kafka-ingest-trial/trial-orders-2-of-2@batched"]
    error_message = "the sources are ${jsonencode(output.sources)}"
  }
  assert {
    condition     = alltrue([for s in values(output.spouts) : s.workers_available == 1 && s.version == 1])
    error_message = "a spout does not have its pod"
  }
}

run "found" {
  module {
    source = "./tests/real/found"
  }
  variables {
    project = run.project.name
  }

  assert {
    condition     = output.states == { trial-orders-1-of-2 = "running", trial-orders-2-of-2 = "running", trial-refunds = "running" }
    error_message = "Pachyderm has ${jsonencode(output.states)}"
  }
  assert {
    condition     = output.triggers == { trial-orders-1-of-2 = 2, trial-orders-2-of-2 = 2 }
    error_message = "Pachyderm has the triggers ${jsonencode(output.triggers)}"
  }
}

run "changed" {
  variables {
    project = run.project.name
    batch   = { max_age = "2s" }
    paused  = true
    topics  = { orders = { shards = 2 }, refunds = { start = "latest", paused = false, trigger = { size = "1MB" } } }
  }

  assert {
    condition     = output.states == { "orders/1-of-2" = "paused", "orders/2-of-2" = "paused", refunds = "running" }
    error_message = "the spouts are ${jsonencode(output.states)}"
  }
  assert {
    condition     = alltrue([for s in values(output.spouts) : s.version == 2])
    error_message = "a spout was not updated in place"
  }
}

run "found_changed" {
  module {
    source = "./tests/real/found"
  }
  variables {
    project = run.project.name
  }

  assert {
    condition     = output.states == { trial-orders-1-of-2 = "paused", trial-orders-2-of-2 = "paused", trial-refunds = "running" }
    error_message = "Pachyderm has ${jsonencode(output.states)}"
  }
  assert {
    condition     = length(output.triggers) == 1
    error_message = "Pachyderm has the triggers ${jsonencode(output.triggers)}"
  }
}
