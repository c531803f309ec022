variable "address" {
  description = "Address of pachd. Left out, PACHD_ADDRESS or pachctl's config file says it."
  type        = string
  default     = null
}

variable "brokers" {
  description = "Kafka brokers, as host:port, that pods of the cluster can reach."
  type        = list(string)
}

variable "topic" {
  description = "Topic to read."
  type        = string
}

variable "name" {
  description = "Name of the spout and of its output repo."
  type        = string
  default     = "quickstart"
}

variable "image" {
  description = "Image of the runner. Left out, it is the one released with the provider."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether destroy deletes what was ingested. Do not leave it on for data that matter."
  type        = bool
  default     = true
}
