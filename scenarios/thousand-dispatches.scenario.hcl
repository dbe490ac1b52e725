# Many small pieces of work at once: the queue of evaluations, the plans and the clients' reports
# under load. None may be lost, and none done twice. Slow: some minutes.

scenario "thousand-dispatches" {
  description = "a thousand children are dispatched: each runs to its good end, exactly once"

  # A thousand processes keep a small machine busy; with timers ten times faster, clients that wait
  # for a processor miss heartbeats of one second and are called down.
  needs {
    max_time_scale = 2
  }

  submit {
    job = builtin.parameterized
  }
  dispatch {
    job   = "parameterized"
    meta  = { who = "one of many" }
    times = var.children
  }

  # No timer of Nomad's: each child is a process that starts and ends, some 10 to 50 ms of a core on
  # whatever runs it.
  expect "completed" {
    job         = "parameterized"
    allocations = var.children
    within      = "15m"
    measured_as = "all_done_ms"
  }
}

variable "children" {
  type        = number
  default     = 1000
  description = "How many children are dispatched."
}
