# A node is taken out of service in good order, as before maintenance: what runs there moves first.

scenario "node-drain" {
  description = "a node is drained: its instances move one by one, no request is lost, and it takes work again afterwards"

  submit {
    job = builtin.whoami
  }

  # The update block of the job: one at a time, healthy after 1 s each. The rest is for slow machines.
  expect "deployment" {
    job         = "whoami"
    within      = "90s"
    measured_as = "deploy_ms"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "10s"
  }

  start "load" {
    job  = "whoami"
    port = "http"
    rate = var.requests
  }
  hold {
    lasting = "1s"
  }

  drain {
    on       = node_running("whoami")
    deadline = "2m"
  }

  # The job has no `migrate` block: one instance at a time, each healthy after Nomad's default
  # `min_healthy_time` of 10 s. A node may run two or three of them.
  expect "drained" {
    nodes       = 1
    within      = "90s"
    measured_as = "drain_ms"
  }
  expect "allocations" {
    job     = "whoami"
    running = 3
    nodes   = 2
    within  = "30s"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "30s"
  }

  # It takes no work until somebody says so.
  expect "drained" {
    nodes      = 1
    throughout = "3s"
  }
  heal "drain" {}
  expect "nodes" {
    ready  = 3
    within = "10s"
  }

  stop {}

  measure "requests_lost" {
    at_most = 0
  }
}

variable "requests" {
  type        = number
  default     = 50
  description = "Requests a second to the service."
}
