variable "hosts" {
  description = "Nodes of RabbitMQ, as pods of Kubernetes reach them."
  type        = list(string)
}

variable "amqp_port" {
  description = "Port of AMQP 0.9.1: 5671 with TLS, 5672 without."
  type        = number
  default     = 5671
}

variable "stream_port" {
  description = "Port of the stream protocol: 5551 with TLS, 5552 without."
  type        = number
  default     = 5551
}

variable "tls" {
  description = "Whether the nodes have TLS, with a certificate of an authority that the system knows."
  type        = bool
  default     = true
}

variable "username" {
  description = "User of RabbitMQ, who may read the queues and streams."
  type        = string
}

variable "password" {
  description = "Password of that user."
  type        = string
  sensitive   = true
  ephemeral   = true # it is in no plan and no state
}

variable "password_version" {
  description = "Change it along with the password."
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
