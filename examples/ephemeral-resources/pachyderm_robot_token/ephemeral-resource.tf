# For the time of a run: another provider, or one of this kind, works as the robot.
ephemeral "pachyderm_robot_token" "deployer" {
  robot = "deployer"
  ttl   = "30m"
}

provider "pachyderm" {
  alias      = "deployer"
  address    = "grpcs://pachyderm.example.com:443"
  auth_token = ephemeral.pachyderm_robot_token.deployer.token
}

# For longer: a token that a job in the cluster uses. It is written again, and
# with it a new token, when data_wo_version changes.
ephemeral "pachyderm_robot_token" "reader" {
  robot           = "reader"
  ttl             = "2160h" # 90 days
  revoke_on_close = false
}

resource "pachyderm_secret" "reader" {
  name            = "reader-token"
  data_wo         = { token = ephemeral.pachyderm_robot_token.reader.token }
  data_wo_version = 1
}
