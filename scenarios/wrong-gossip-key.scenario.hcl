# A server is started with a gossip key that no other has, as after a slip in its configuration. The
# others must not let it in, and must not be disturbed by it.

scenario "wrong-gossip-key" {
  description = "a server with a wrong gossip key is not let in and disturbs nobody; with the right key it is a member and a voter again"

  start "leader_watch" {}
  start "writer" {
    rate = var.writes
  }

  inject "wrong-gossip-key" {
    on = follower
  }

  # What it says is noise to the others: gossip calls it failed after 30 to 40 s (a probe each 5 s,
  # and 30 s of suspicion among three).
  expect "members" {
    alive       = 2
    within      = "90s"
    measured_as = "shut_out_ms"
  }

  # It tries to join again and again, and is not let in.
  expect "members" {
    alive = 3
    never = "10s"
  }
  heal "wrong-gossip-key" {}
  expect "members" {
    alive       = 3
    within      = "90s"
    measured_as = "let_in_ms"
  }

  # Autopilot: `server_stabilization_time` of 10 s and a round of 2 s.
  expect "voters" {
    within = "60s"
  }

  stop {}

  # The two others are a majority all the while; the limit is what a slow machine may take.
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
