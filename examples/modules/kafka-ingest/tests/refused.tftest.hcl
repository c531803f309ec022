# What the module refuses, before anything is planned.
mock_provider "pachyderm" {}

variables {
  brokers = ["kafka.example.com:9093"]
  topics  = { orders = {} }
}

run "no_brokers" {
  command = plan
  variables {
    brokers = []
  }
  expect_failures = [var.brokers]
}

run "broker_with_scheme" {
  command = plan
  variables {
    brokers = ["kafka://kafka.example.com:9093"]
  }
  expect_failures = [var.brokers]
}

run "no_topic_of_kafka" {
  command = plan
  variables {
    topics = { "orders v1" = {} }
  }
  expect_failures = [var.topics]
}

run "two_topics_of_one_name" {
  command = plan
  variables {
    topics = { "orders.v1" = {}, "orders_v1" = {} }
  }
  expect_failures = [var.topics]
}

run "name_too_long" {
  command = plan
  variables {
    topics = { "a-topic-with-a-name-that-is-much-longer-than-pachyderm-allows" = {} }
  }
  expect_failures = [var.topics]
}

run "prefix_in_upper_case" {
  command = plan
  variables {
    name_prefix = "Payments-"
  }
  expect_failures = [var.name_prefix]
}

run "trigger_without_condition" {
  command = plan
  variables {
    trigger = {}
  }
  expect_failures = [var.trigger]
}

run "unknown_mechanism" {
  command = plan
  variables {
    sasl = { mechanism = "gssapi", credentials_secret = { name = "kafka" } }
  }
  expect_failures = [var.sasl]
}

run "half_a_shard" {
  command = plan
  variables {
    topics = { orders = { shards = 1.5 } }
  }
  expect_failures = [var.topics]
}

run "no_shard" {
  command = plan
  variables {
    topics = { orders = { shards = 0 } }
  }
  expect_failures = [var.topics]
}

run "name_too_long_with_shards" {
  command = plan
  variables {
    topics = { "a-topic-with-a-name-that-fits-without-its-shards" = { shards = 16 } }
  }
  expect_failures = [var.topics]
}

run "two_spouts_of_one_name" {
  command = plan
  variables {
    topics = { orders = { shards = 2 }, "orders-2-of-2" = {} }
  }
  expect_failures = [var.topics]
}
