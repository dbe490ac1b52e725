namespace "default" {
  policy       = "read"
  capabilities = ["submit-job", "read-logs"]

  variables {
    path "nomad/jobs/*" {
      capabilities = ["read", "list"]
    }
  }
}

namespace "team-*" {
  policy = "deny"
}

node {
  policy = "write"
}

agent {
  policy = "read"
}

operator {
  policy = "read"
}
