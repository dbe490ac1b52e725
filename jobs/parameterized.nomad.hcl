# parameterized: a function that is called. Registering it runs nothing; each dispatch makes a child
# job, with its own meta and payload.
#
#   nomad job run parameterized.nomad.hcl
#   echo "Hello" | nomad job dispatch -meta who=me parameterized -
#
# Takes Nomad 1.1.0 or later.

job "parameterized" {
  datacenters = ["dc1"]
  type        = "batch"

  parameterized {
    payload       = "optional"
    meta_required = ["who"]
    meta_optional = ["loud"]
  }

  group "call" {
    task "work" {
      driver = "raw_exec"

      config {
        command = "/usr/local/bin/rehearse-agent"
        args    = ["workload", "-version", "for-${NOMAD_META_who}", "-exit", "0"]
      }

      # Where the task finds what was sent with the call.
      dispatch_payload {
        file = "input.txt"
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
