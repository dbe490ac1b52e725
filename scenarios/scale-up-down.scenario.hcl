# A service grows and shrinks again, while it is used.

scenario "scale-up-down" {
  description = "a service is scaled from 3 to 6 instances and back: no request is lost but at instances told to stop"

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

  scale {
    job   = "whoami"
    group = "web"
    count = 6
  }

  # A new count is a new version with a deployment; instances that stay are updated in place, and
  # new ones are healthy after 1 s.
  expect "service" {
    job         = "whoami"
    port        = "http"
    instances   = 6
    version     = "1"
    within      = "60s"
    measured_as = "scale_up_ms"
  }

  # Nomad refuses to scale while a deployment runs.
  expect "deployment" {
    job    = "whoami"
    within = "90s"
  }
  scale {
    job   = "whoami"
    group = "web"
    count = 3
  }
  expect "service" {
    job         = "whoami"
    port        = "http"
    instances   = 3
    version     = "1"
    within      = "60s"
    measured_as = "scale_down_ms"
  }
  hold {
    lasting = "1s"
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
