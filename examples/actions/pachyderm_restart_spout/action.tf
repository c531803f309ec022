# By hand: terraform apply -invoke=action.pachyderm_restart_spout.orders
action "pachyderm_restart_spout" "orders" {
  config {
    name = "orders"
  }
}

# By itself, after something has changed that the spout reads only when it starts.
resource "terraform_data" "certificates" {
  input = filesha256("${path.module}/action.tf")

  lifecycle {
    action_trigger {
      events  = [after_update]
      actions = [action.pachyderm_restart_spout.orders]
    }
  }
}
