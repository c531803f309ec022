# Two tables of a PostgreSQL database become files in a versioned repo: the rows
# that are in them at first, and then every change, transaction by transaction.

resource "pachyderm_secret" "database" {
  name = "${var.name}-database"
  data_wo = {
    username = var.user
    password = var.password
  }
  data_wo_version = 1
}

resource "pachyderm_spout" "tables" {
  name        = var.name
  description = "Tables of the database ${var.database}"

  postgres = {
    host     = var.host
    port     = var.port
    database = var.database
    tables   = var.tables
    slot     = replace(var.name, "-", "_")

    credentials_secret = { name = pachyderm_secret.database.name }

    # Everybody on the way could read the rows without it.
    tls = var.ca_certificate == null ? null : { ca_certificate = var.ca_certificate }
  }

  # A commit holds whole transactions, and ends at the latest this long after its
  # first one.
  batch = { max_age = "5s" }

  # The tables' own columns, and one called _record that says what has become of
  # the row.
  file = { format = var.format }

  image         = var.image
  force_destroy = var.force_destroy
}
