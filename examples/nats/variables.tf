variable "servers" {
  description = "NATS servers, as host:port."
  type        = list(string)
}

variable "credentials" {
  description = "User name and password of the reader, under username and password."
  type        = map(string)
  sensitive   = true
  ephemeral   = true # they are in no plan and no state
}

variable "credentials_version" {
  description = "Change it along with credentials."
  type        = number
  default     = 1
}

variable "tls" {
  description = "TLS settings, {} for the system's authorities. Left out, there is no TLS."
  type        = object({ ca_certificate = optional(string) })
  default     = null
}

variable "allow_cleartext_credentials" {
  description = "Whether the password may be sent without TLS, where the network is trusted."
  type        = bool
  default     = null
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
