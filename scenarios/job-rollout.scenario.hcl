# A new version of a service replaces the old one, as many at a time as its update block says, while
# the service is being used.

scenario "job-rollout" {
  description = "a new version replaces the old one instance by instance: never fewer healthy than promised, no request lost but at instances told to stop"

  needs {
    servers = 3
    clients = 3
  }

  submit {
    job = builtin.whoami
  }

  # The job's own update block: one at a time, each healthy after `min_healthy_time` 1 s, makes some
  # 3 s. The rest is for slow, emulated machines.
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

  start "rollout_watch" {
    job = "whoami"
  }
  start "load" {
    job  = "whoami"
    port = "http"
    rate = var.requests
  }
  hold {
    lasting = "1s"
  }

  submit {
    job = builtin.whoami-v2
  }
  expect "deployment" {
    job         = "whoami"
    within      = "90s"
    measured_as = "rollout_ms"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "2"
    within    = "10s"
  }
  hold {
    lasting = "1s"
  }

  stop {}

  measure "requests_lost" {
    at_most = 0
  }

  # `max_parallel` of the job.
  measure "replacing_most" {
    at_most = 1
  }
}

variable "requests" {
  type        = number
  default     = 50
  description = "Requests a second to the service."
}
