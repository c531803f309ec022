# By project and name. The name alone stands for the provider's default_project.
terraform import pachyderm_pipeline.report sales/report
