data_dir = "/opt/nomad/data"

client {
  enabled           = true
  network_interface = "eth0"

  options = {
    "fingerprint.denylist" = "env_aws"
  }

  host_volume "certs" {
    path      = "/etc/ssl"
    read_only = true
  }
}

plugin "raw_exec" {
  config {
    enabled = true
  }
}

telemetry {
  collection_interval = "10s"
  prometheus_metrics  = true
}
