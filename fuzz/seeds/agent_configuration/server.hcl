name       = "server-1"
region     = "global"
datacenter = "dc1"
data_dir   = "/opt/nomad/data"
bind_addr  = "0.0.0.0"

server {
  enabled          = true
  bootstrap_expect = 3
  encrypt          = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

  server_join {
    retry_join = ["10.0.0.1:4648", "10.0.0.2:4648"]
  }
}

tls {
  http                   = true
  rpc                    = true
  verify_server_hostname = true
  ca_file                = "/etc/nomad.d/tls/ca.pem"
}

acl {
  enabled = true
}

limits {
  http_max_conns_per_client = 2000
}
