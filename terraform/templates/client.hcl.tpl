name       = "${name}"
region     = "${region}"
datacenter = "${datacenter}"
data_dir   = "/opt/nomad/data"
bind_addr  = "0.0.0.0"

disable_update_check = true

client {
  enabled = true

  server_join {
    retry_join     = ["${join_line}"]
    retry_interval = "5s"
  }
}

plugin "raw_exec" {
  config {
    enabled = ${raw_exec}
  }
}

acl {
  enabled = true
}

tls {
  http                   = true
  rpc                    = true
  ca_file                = "/etc/nomad.d/tls/ca.pem"
  cert_file              = "/etc/nomad.d/tls/agent.pem"
  key_file               = "/etc/nomad.d/tls/agent-key.pem"
  verify_server_hostname = true
  verify_https_client    = true
}

telemetry {
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
}
