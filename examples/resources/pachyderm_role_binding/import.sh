# The kind of resource, its project and name, and the principal.
terraform import pachyderm_role_binding.ci_images repo/default/images/robot:ci
terraform import pachyderm_role_binding.vision project/vision/group:vision-team
terraform import pachyderm_role_binding.terraform cluster/robot:terraform
