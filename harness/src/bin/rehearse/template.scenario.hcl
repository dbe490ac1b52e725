# What breaks, what must hold meanwhile, and what must be so afterwards.

scenario "NAME" {
  description = "a follower crashes: the service keeps answering, the follower comes back"

  needs {
    servers = 3
    clients = 3
  }

  # A job of your own: job = "../jobs/web.nomad.hcl", from this file's folder.
  submit {
    job = builtin.whoami
  }
  expect "deployment" {
    job    = "whoami"
    within = "90s"
  }

  # Runs beside the steps until `stop`.
  start "load" {
    job  = "whoami"
    port = "http"
    rate = var.requests
  }

  inject "kill" {
    on = follower
  }
  expect "leader" {
    throughout = "5s"
  }
  heal "kill" {}
  expect "voters" {
    within      = "60s"
    measured_as = "voter_again_ms"
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
