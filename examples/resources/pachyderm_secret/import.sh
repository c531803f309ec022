# By name. What the secret holds is not imported: the next change needs data_wo.
terraform import pachyderm_secret.kafka kafka-credentials
