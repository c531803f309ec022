output "states" {
  description = "State of each team's spouts, by topic."
  value = {
    payments  = module.payments.states
    telemetry = module.telemetry.states
  }
}
