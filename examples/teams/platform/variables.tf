variable "team" {
  description = "Name of the team: its project, the prefix of its spouts, and the label that alerts go by."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,18}[a-z0-9])?$", var.team))
    error_message = "team must have 1 to 20 lower-case letters, digits and '-', begin with a letter and end with a letter or digit."
  }
}

variable "members" {
  description = "Who owns the project, as \"group:payments\" or \"user:jo@example.com\". Empty where authentication is off."
  type        = set(string)
  default     = []
}

variable "kafka" {
  description = "The platform's Kafka: brokers, and the Kubernetes secret with the credentials, if it wants any."
  type = object({
    brokers            = list(string)
    tls                = optional(bool, true)
    credentials_secret = optional(string)
  })
}

variable "topics" {
  description = "What the team reads: see the variable of the same name of modules/kafka-ingest."
  type        = any
}

variable "image" {
  description = "Image of the runner. Left out, the one released with the provider."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether destroy deletes what was ingested. Leave it off for data that matter."
  type        = bool
  default     = false
}
