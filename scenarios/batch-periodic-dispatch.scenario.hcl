# Work that ends: a batch job, a parameterized one that is dispatched, a periodic one that is
# launched. Each is done once, and what is done is not done again.

scenario "batch-periodic-dispatch" {
  description = "batch, dispatched and periodic work runs to its good end once, also while a node goes"

  submit {
    job = builtin.batch
  }
  expect "completed" {
    job         = "batch"
    allocations = 3
    within      = "60s"
    measured_as = "batch_ms"
  }
  call {
    path   = "/v1/job/batch"
    check  = { "Status" = "dead", "Stop" = false }
    within = "15s"
  }

  submit {
    job = builtin.parameterized
  }
  dispatch {
    job     = "parameterized"
    meta    = { who = "me" }
    payload = "a letter"
  }
  dispatch {
    job   = "parameterized"
    meta  = { who = "all" }
    times = 5
  }
  expect "completed" {
    job         = "parameterized"
    allocations = 6
    within      = "60s"
    measured_as = "dispatched_ms"
  }

  submit {
    job = builtin.yearly
  }
  call {
    method = "PUT"
    path   = "/v1/job/yearly/periodic/force"
  }
  expect "completed" {
    job         = "yearly"
    allocations = 1
    within      = "60s"
    measured_as = "launched_ms"
  }

  # The parents wait for the next time.
  call {
    path  = "/v1/job/yearly"
    check = { "Status" = "running" }
  }
  call {
    path  = "/v1/job/parameterized"
    check = { "Status" = "running" }
  }

  # What is complete stays so when its node goes out of service.
  drain {
    on       = any(client)
    deadline = "30s"
  }
  expect "drained" {
    nodes  = 1
    within = "30s"
  }
  expect "completed" {
    job         = "batch"
    allocations = 3
    throughout  = "3s"
  }
  heal "drain" {}
  expect "nodes" {
    within = "15s"
  }
}
