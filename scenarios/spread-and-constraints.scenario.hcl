# Where things run: a law (`constraint`) is kept even if something must wait, a wish (`spread`) as well
# as it can be.

scenario "spread-and-constraints" {
  description = "constraints hold on every placement, what finds no node waits for one, and a spread is even"

  submit {
    job = builtin.apart
  }
  expect "allocations" {
    job      = "apart"
    running  = 4
    nodes    = 3
    per_node = 2
    within   = "30s"
  }
  call {
    path  = "/v1/job/apart/summary"
    check = { "Summary.alone.Running" = 3, "Summary.pinned.Running" = 1 }
  }

  # Three nodes, four instances that want one alone: the fourth waits.
  submit {
    job       = builtin.apart
    variables = { alone = 4 }
  }
  call {
    path   = "/v1/job/apart/summary"
    check  = { "Summary.alone.Running" = 3, "Summary.alone.Queued" = 1 }
    within = "15s"
  }
  expect "allocations" {
    job        = "apart"
    running    = 4
    nodes      = 3
    per_node   = 2
    throughout = "3s"
  }

  # No node is called so: the pinned one finds no new place, and keeps its old one meanwhile.
  submit {
    job       = builtin.apart
    variables = { node = "client-9" }
  }
  call {
    path   = "/v1/job/apart/summary"
    check  = { "Summary.pinned.Running" = 1, "Summary.pinned.Queued" = 1, "Summary.alone.Running" = 3 }
    within = "15s"
  }

  submit {
    job = builtin.even
  }
  expect "allocations" {
    job      = "even"
    running  = 6
    nodes    = 3
    per_node = 2
    within   = "30s"
  }
}
