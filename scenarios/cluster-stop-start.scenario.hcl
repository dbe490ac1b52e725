# All agents are stopped in good order and started again, as for a power cut that was announced. State
# is on disk: the job is still there, and runs again without being asked.
#
# Clients are started when the servers have a leader. Beside servers that read their log back, a client
# before Nomad 1.6.2 may take an old state for the present: it stops what it should run and runs it
# again, and by then the servers have placed one more, which stays (seen on 1.1.2).

scenario "cluster-stop-start" {
  description = "every agent is stopped and started again: a leader is elected, the job is known, and the service runs again by itself"

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

  inject "stop" {
    on = all(client)
  }
  inject "stop" {
    on = all(server)
  }
  hold {
    lasting = "2s"
  }
  heal "stop" {
    of = server
  }

  # Servers find each other again and hold an election.
  expect "leader" {
    within      = "60s"
    measured_as = "leader_again_ms"
  }
  expect "voters" {
    within = "90s"
  }
  heal "stop" {
    of = client
  }
  call {
    path   = "/v1/job/whoami"
    check  = { "Stop" = false, "ID" = "whoami" }
    within = "15s"
  }

  # Clients find their servers within 15 to 30 s where the first try failed.
  expect "nodes" {
    within      = "90s"
    measured_as = "nodes_again_ms"
  }

  # What ran on a client ended with it: the client finds its tasks dead and starts them anew, or the
  # servers place them elsewhere.
  expect "service" {
    job         = "whoami"
    port        = "http"
    instances   = 3
    version     = "1"
    within      = "90s"
    measured_as = "service_again_ms"
  }
}
