variable "address" {
  description = "Address of pachd, as grpcs://pachyderm.example.com:443. Left out, PACHD_ADDRESS says it."
  type        = string
  default     = null
}

variable "kafka" {
  description = "Kafka: brokers as host:port, whether with TLS, and the Kubernetes secret with the credentials, if it wants any."
  type = object({
    brokers            = list(string)
    tls                = optional(bool, true)
    credentials_secret = optional(string)
  })
}

variable "image" {
  description = "Image of the runner. Left out, the one released with the provider."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether destroy deletes all data. For trying this out only."
  type        = bool
  default     = false
}
