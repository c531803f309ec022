# By name.
terraform import pachyderm_project.orders orders
