import {
  to = pachyderm_role_binding.ci_images
  id = "repo/default/images/robot:ci"
}
