import {
  to = pachyderm_role_binding.ci_images
  identity = {
    type      = "repo"
    project   = "default"
    name      = "images"
    principal = "robot:ci"
  }
}
