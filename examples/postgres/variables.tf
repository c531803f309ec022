variable "name" {
  description = "Name of the spout and of its output repo. The replication slot is called like it, with underscores."
  type        = string
  default     = "shop"
}

variable "host" {
  description = "Host of the primary server."
  type        = string
}

variable "port" {
  description = "Port of the server itself, not of a connection pooler."
  type        = number
  default     = 5432
}

variable "database" {
  description = "Database to read."
  type        = string
}

variable "tables" {
  description = "Tables to read, as schema.table."
  type        = list(string)
}

variable "user" {
  description = "User with the attribute REPLICATION that owns the tables and has CREATE on the database."
  type        = string
}

variable "password" {
  description = "Password of the user. It is not kept in the state."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "ca_certificate" {
  description = "Certificates in PEM of the authority that has signed the server's. Left out, there is no TLS."
  type        = string
  default     = null
}

variable "format" {
  description = "Format of the files."
  type        = string
  default     = "parquet"
}

variable "image" {
  description = "Image of the runner. Left out, that of the provider's version."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether a destroy deletes what was ingested."
  type        = bool
  default     = false
}
