# A new version never becomes healthy, and nobody told Nomad to take it back. The rollout must end
# by itself, and leave the old instances that it had not replaced yet.

scenario "progress-deadline" {
  description = "a version that never becomes healthy fails at its progress deadline; the old instances that are left serve on, and a mended version repairs it"

  submit {
    job = builtin.canary
  }

  # The update block of the job: one at a time, healthy after 2 s each. The rest is for slow machines.
  expect "deployment" {
    job         = "canary"
    within      = "90s"
    measured_as = "deploy_ms"
  }
  expect "service" {
    job       = "canary"
    port      = "http"
    instances = 3
    version   = "1"
    within    = "10s"
  }

  start "load" {
    job  = "canary"
    port = "http"
    rate = var.requests
  }
  hold {
    lasting = "1s"
  }

  submit {
    job       = builtin.canary
    variables = { version = "2", fails_after = "100ms", canaries = 0, auto_revert = false }
  }

  # `progress_deadline` is 20 s, counted from the first new instance.
  expect "deployment" {
    job         = "canary"
    status      = "failed"
    within      = "60s"
    measured_as = "failed_ms"
  }
  call {
    path  = "/v1/job/canary/deployment"
    check = { "JobVersion" = 1, "StatusDescription" = "Failed due to progress deadline" }
  }

  # One was replaced (`max_parallel`), and no other since.
  expect "version" {
    job        = "canary"
    number     = 1
    throughout = "3s"
  }

  # What fails the law of being done too early: nothing may end before its deadline.
  measure "failed_ms" {
    at_least = "19s"
  }

  submit {
    job       = builtin.canary
    variables = { version = "3", canaries = 0, auto_revert = false }
  }
  expect "deployment" {
    job         = "canary"
    within      = "90s"
    measured_as = "repaired_ms"
  }
  expect "service" {
    job       = "canary"
    port      = "http"
    instances = 3
    version   = "3"
    within    = "30s"
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
