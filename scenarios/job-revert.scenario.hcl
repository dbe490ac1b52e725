# A new version turns out to be bad, and the old one is brought back, while the service is used.

scenario "job-revert" {
  description = "a job is reverted to its first version under load: never fewer healthy than promised, no request lost but at instances told to stop"

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

  submit {
    job = builtin.whoami-v2
  }
  expect "deployment" {
    job    = "whoami"
    within = "90s"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "2"
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

  revert {
    job     = "whoami"
    version = 0
  }

  # A revert is a rollout like any other, and makes a version of its own.
  expect "version" {
    job    = "whoami"
    number = 2
    within = "10s"
  }
  expect "deployment" {
    job         = "whoami"
    within      = "90s"
    measured_as = "revert_ms"
  }
  expect "service" {
    job       = "whoami"
    port      = "http"
    instances = 3
    version   = "1"
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
