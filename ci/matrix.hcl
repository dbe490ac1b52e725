# What CI runs: groups of cells, each the product of its versions and architectures.
# `rehearse matrix` expands and checks this file; the workflows read only what that prints.
#
#   when       change: for every change; nightly; or both
#   engine     simulator (needs no network), or release with its versions
#   emulated   architectures that run under QEMU on the amd64 runner; the others run natively
#   scenarios  by name; all of them where it is left out

# Which machine runs what natively. IBM lends the last one to open projects.
runners = {
  amd64 = "ubuntu-24.04"
  arm64 = "ubuntu-24.04-arm"
  s390x = "ubuntu-24.04-s390x"
}

cells "simulated" {
  when   = ["change", "nightly"]
  engine = "simulator"
  archs  = ["amd64", "arm64"]
}

# Slower by an order of magnitude, so only the two that every deployment needs.
cells "simulated-emulated" {
  when      = ["change"]
  engine    = "simulator"
  archs     = ["s390x"]
  emulated  = ["s390x"]
  scenarios = ["leader-failover", "job-rollout"]
}

# The last patch of each line that is in use; 1.8.4 is the one on whose line the simulator is built.
cells "release" {
  when     = ["change"]
  engine   = "release"
  versions = ["1.8.4"]
  archs    = ["amd64"]
}

cells "releases" {
  when     = ["nightly"]
  engine   = "release"
  versions = ["1.7.7", "1.8.4", "1.10.5", "1.11.3", "2.0.5"]
  archs    = ["amd64", "arm64"]
}

cells "native-s390x" {
  when   = ["nightly"]
  engine = "simulator"
  archs  = ["s390x"]
}
