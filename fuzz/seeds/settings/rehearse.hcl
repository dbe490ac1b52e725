# For every command that has the option.
engine  = "simulator"
cluster = "mine"
timeout = "90s"
format  = "text"

up {
  clients = 5
  keep    = true
  set     = ["server.raft_multiplier=2", "client.gc_interval=1m"]
}

job {
  run {
    cluster = "other"
  }
}
