# The gossip key is changed while all goes on: the new one is installed everywhere, then used, then
# the old one is removed.

scenario "gossip-key-rotation" {
  description = "the gossip key is rotated: no member is lost, no write is lost, and a server that restarts afterwards is let in"

  start "leader_watch" {}
  start "writer" {
    rate = var.writes
  }
  hold {
    lasting = "1s"
  }

  rotate_gossip_key {}

  # A server without the key would be called failed after 30 to 40 s.
  expect "members" {
    alive      = 3
    throughout = "45s"
  }

  # What counts after a restart is the keyring on disk.
  restart {
    on = follower
  }
  expect "voters" {
    within = "60s"
  }
  expect "members" {
    alive  = 3
    within = "30s"
  }
  expect "members" {
    alive      = 3
    throughout = "45s"
  }

  stop {}

  measure "leader_changes" {
    at_most = 0
  }
  measure "write_gap_ms" {
    at_most = "5s"
  }
}

variable "writes" {
  type        = number
  default     = 20
  description = "Writes a second through all servers."
}
