variable "secrets" {
  description = "Secrets of the senders: github, github-next, shop and cloudevents (whsec_…). Give github-next that of github while none is replaced."
  type        = map(string)
  sensitive   = true
  ephemeral   = true # they are in no plan and no state
}

variable "secrets_version" {
  description = "Change it along with secrets."
  type        = number
  default     = 1
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
