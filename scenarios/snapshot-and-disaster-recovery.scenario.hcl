# All servers lose their disks. New ones start in their place and know nothing; a snapshot brings back
# jobs, nodes and tokens. The clients and what runs on them were there all the while.

scenario "snapshot-and-disaster-recovery" {
  description = "every server loses its data and a snapshot brings the state back: jobs and tokens are known again, the clients return, the service runs"

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

  snapshot {}

  # What comes after the snapshot is lost with the disks.
  submit {
    job = builtin.batch
  }
  expect "completed" {
    job         = "batch"
    allocations = 3
    within      = "60s"
  }

  inject "wipe" {
    on = all(server)
  }
  hold {
    lasting = "1s"
  }
  heal "wipe" {}

  # They find each other and begin anew, as at the very first start; the restore waits for a leader.
  restore {}
  expect "leader" {
    within      = "30s"
    measured_as = "restored_ms"
  }
  call {
    path   = "/v1/job/whoami"
    check  = { "ID" = "whoami", "Stop" = false }
    within = "15s"
  }
  call {
    path   = "/v1/job/batch"
    status = 404
  }
  expect "voters" {
    within = "90s"
  }

  # Heartbeats that failed are tried again after 1 to 30 s; a registration that found no server
  # after 15 to 30 s.
  expect "nodes" {
    within      = "2m"
    measured_as = "nodes_again_ms"
  }
  expect "service" {
    job         = "whoami"
    port        = "http"
    instances   = 3
    version     = "1"
    within      = "2m"
    measured_as = "service_again_ms"
  }
}
