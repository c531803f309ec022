# By project, repo and name. repo@name alone stands for the provider's default_project.
terraform import pachyderm_branch.batched default/orders@batched
