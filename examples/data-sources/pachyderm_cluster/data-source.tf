data "pachyderm_cluster" "this" {}

output "pachyderm" {
  value = "${data.pachyderm_cluster.this.version} as ${coalesce(data.pachyderm_cluster.this.whoami, "anybody")}"
}
