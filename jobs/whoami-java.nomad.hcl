# whoami by the driver `java`: the same answers from a Java program, which Nomad starts in a virtual
# machine, isolated as with `exec`.
#
# The program is in the job file, to have it in one piece; from Java 11 on, `java` runs a source file
# as it is. A real job names a `jar_path` and fetches it by an `artifact`. Needs Linux, a Java of 11
# or later on the node, and an agent that is root: nodes of a rehearsed cluster do not offer it.
#
# Takes Nomad 1.1.0 or later.

job "whoami-java" {
  datacenters = ["dc1"]
  type        = "service"

  group "web" {
    count = 3

    # How a new version replaces the old one.
    update {
      # One instance at a time: the other two keep serving.
      max_parallel = 1

      # An instance is healthy once its task has run this long. There are no checks here:
      # they would need Consul, or Nomad 1.3.
      health_check     = "task_states"
      min_healthy_time = "1s"

      # An instance that is not healthy by then counts as failed ...
      healthy_deadline = "30s"

      # ... and without progress for this long the whole rollout fails.
      progress_deadline = "2m"
    }

    # A crashed task is started again on its node, twice in half a minute; then the
    # allocation fails, and the scheduler places another one.
    restart {
      attempts = 2
      interval = "30s"
      delay    = "1s"
      mode     = "fail"
    }

    network {
      # A free port on the node, handed to the task as NOMAD_PORT_http.
      port "http" {}
    }

    task "server" {
      driver = "java"

      config {
        class       = "local/Whoami.java"
        jvm_options = ["-Xmx24m", "-XX:+UseSerialGC"]
      }

      template {
        destination = "local/Whoami.java"
        change_mode = "noop"

        data = <<EOT
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.time.Instant;

public class Whoami {
  static String pair(String key, String value) {
    return "\"" + key + "\":\"" + value + "\"";
  }

  static String env(String name) {
    return System.getenv().getOrDefault(name, "");
  }

  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(env("NOMAD_PORT_http"));
    HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
    server.createContext("/health", exchange -> {
      exchange.sendResponseHeaders(200, -1);
      exchange.close();
    });
    server.createContext("/", exchange -> {
      byte[] body = ("{" + String.join(",",
          pair("version", env("NOMAD_META_version")),
          pair("job", env("NOMAD_JOB_NAME")),
          pair("alloc", env("NOMAD_ALLOC_ID")),
          pair("alloc_index", env("NOMAD_ALLOC_INDEX")),
          pair("node", env("NODE")),
          pair("time", Instant.now().toString())) + "}").getBytes();
      exchange.getResponseHeaders().add("Content-Type", "application/json");
      exchange.sendResponseHeaders(200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(2)));
    server.start();
    System.out.println("workload version " + env("NOMAD_META_version") + " started");
  }
}
EOT
      }

      meta {
        version = "1"
      }

      # Nomad tells a task much about itself, but not where it runs.
      env {
        NODE = "${node.unique.name}"
      }

      # The task finishes the requests that it has begun before it exits.
      kill_signal  = "SIGTERM"
      kill_timeout = "5s"

      resources {
        cpu    = 50
        memory = 96
      }
    }
  }
}
