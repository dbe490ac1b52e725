# --- What must be said ---------------------------------------------------------------------------

variable "operator_cidrs" {
  description = "Networks from which the HTTP API (4646) may be reached, as [\"198.51.100.7/32\"]."
  type        = list(string)

  validation {
    condition     = length(var.operator_cidrs) > 0 && alltrue([for cidr in var.operator_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Give at least one network in CIDR notation, as [\"198.51.100.7/32\"]."
  }
  validation {
    condition     = alltrue([for cidr in var.operator_cidrs : !endswith(cidr, "/0")])
    error_message = "A network of length 0 opens the cluster's API to the whole internet."
  }
}

# --- The cluster ---------------------------------------------------------------------------------

variable "name" {
  description = "Name of the cluster: prefix of every resource, value of the join tag, path of the secrets."
  type        = string
  default     = "rehearse"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
    error_message = "Lower-case letters, digits and dashes, at most 32 characters, beginning with a letter."
  }
}

variable "server_count" {
  description = "Number of servers."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 3, 5, 7], var.server_count)
    error_message = "1, 3, 5 or 7: an even number of servers tolerates no more failures than the odd one below it."
  }
}

variable "client_count" {
  description = "Number of clients."
  type        = number
  default     = 3

  validation {
    condition     = var.client_count >= 0 && var.client_count <= 100 && floor(var.client_count) == var.client_count
    error_message = "A whole number from 0 to 100."
  }
}

variable "nomad_region" {
  description = "Nomad's region: the certificates carry it, so it must be the one given to `rehearse pki create`."
  type        = string
  default     = "global"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]*$", var.nomad_region))
    error_message = "Lower-case letters, digits and dashes: it becomes a part of the certificates' names."
  }
}

variable "datacenter" {
  description = "Nomad's datacenter."
  type        = string
  default     = "dc1"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.datacenter))
    error_message = "Letters, digits, underscores and dashes."
  }
}

variable "raw_exec" {
  description = "Whether clients run tasks unisolated, as root. The scenarios of `rehearse run` need it."
  type        = bool
  default     = false
  nullable    = false
}

# --- Nomad itself --------------------------------------------------------------------------------

variable "nomad_version" {
  description = "Version of Nomad, without `+ent`."
  type        = string
  default     = "1.11.3"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.nomad_version))
    error_message = "Three numbers, as 1.11.3. The edition is a variable of its own."
  }
  validation {
    # Below 1.9.4 the first error of cloud discovery ends it for good, and a role that is attached a
    # second too late is such an error.
    condition = try(
      tonumber(split(".", var.nomad_version)[0]) * 1000000 +
      tonumber(split(".", var.nomad_version)[1]) * 1000 +
      tonumber(split(".", var.nomad_version)[2]) >= 1009004,
      false
    )
    error_message = "1.9.4 or later: before, an agent whose first look-up of its servers fails never tries again."
  }
}

variable "nomad_edition" {
  description = "`ce` (Community) or `enterprise`, which also needs `nomad_license_file`."
  type        = string
  default     = "ce"

  validation {
    condition     = contains(["ce", "enterprise"], var.nomad_edition)
    error_message = "`ce` or `enterprise`."
  }
  validation {
    condition     = (var.nomad_edition == "enterprise") == (var.nomad_license_file != null)
    error_message = "Enterprise needs `nomad_license_file`, and the Community Edition must not have one."
  }
}

variable "nomad_license_file" {
  description = "Path of the Enterprise licence on the operator's machine. It goes to Parameter Store, never into state."
  type        = string
  default     = null
}

variable "nomad_sha256" {
  description = "SHA-256 of the release's zip, per architecture. Empty: the release's own SHA256SUMS is believed."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for sum in values(var.nomad_sha256) : can(regex("^[0-9a-f]{64}$", sum))])
    error_message = "64 hexadecimal digits in lower case, for `amd64` or `arm64`."
  }
}

variable "releases_url" {
  description = "Where releases are downloaded, for those who keep a mirror."
  type        = string
  default     = "https://releases.hashicorp.com"

  validation {
    condition     = startswith(var.releases_url, "https://")
    error_message = "An https:// address: the agent's program comes from there."
  }
}

# --- Machines ------------------------------------------------------------------------------------

variable "aws_region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "A region's code, as eu-central-1."
  }
}

variable "zones" {
  description = "Number of availability zones over which servers and clients are spread."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 2, 3], var.zones)
    error_message = "1, 2 or 3."
  }
}

variable "vpc_cidr" {
  description = "Network of the cluster's own VPC; each zone gets a sixteenth of it."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "An IPv4 network of length 24 or shorter, as 10.20.0.0/16."
  }
}

variable "architecture" {
  description = "Architecture of all machines: `amd64` or `arm64`."
  type        = string
  default     = "amd64"

  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "`amd64` or `arm64`: AWS has no s390x."
  }
}

variable "server_instance_type" {
  description = "Instance type of servers. Null: t3.small or t4g.small, by architecture."
  type        = string
  default     = null

  validation {
    # A `g` after the generation's digit is a Graviton; a1 was the first of them.
    condition = (
      var.server_instance_type == null ||
      can(regex("^([a-z]+[0-9]+g[a-z]*|a1)\\.", coalesce(var.server_instance_type, "none"))) == (var.architecture == "arm64")
    )
    error_message = "The type's processor is not of the architecture in `architecture`."
  }
}

variable "client_instance_type" {
  description = "Instance type of clients. Null: t3.medium or t4g.medium, by architecture."
  type        = string
  default     = null

  validation {
    condition = (
      var.client_instance_type == null ||
      can(regex("^([a-z]+[0-9]+g[a-z]*|a1)\\.", coalesce(var.client_instance_type, "none"))) == (var.architecture == "arm64")
    )
    error_message = "The type's processor is not of the architecture in `architecture`."
  }
}

variable "server_disk_gib" {
  description = "Root volume of servers, in GiB."
  type        = number
  default     = 20

  validation {
    condition     = var.server_disk_gib >= 8 && var.server_disk_gib <= 16384
    error_message = "From 8 to 16384."
  }
}

variable "client_disk_gib" {
  description = "Root volume of clients, in GiB."
  type        = number
  default     = 50

  validation {
    condition     = var.client_disk_gib >= 8 && var.client_disk_gib <= 16384
    error_message = "From 8 to 16384."
  }
}

variable "task_ports" {
  description = "Ports of jobs on clients that may be reached: from networks, and from the other clients."
  type = map(object({
    from_port    = number
    to_port      = number
    protocol     = optional(string, "tcp")
    cidrs        = optional(list(string), [])
    from_clients = optional(bool, false)
  }))
  default = {}

  validation {
    condition     = alltrue([for rule in values(var.task_ports) : rule.from_port >= 1 && rule.from_port <= rule.to_port && rule.to_port <= 65535])
    error_message = "Ports are from 1 to 65535, and `from_port` is not above `to_port`."
  }
  validation {
    condition     = alltrue([for rule in values(var.task_ports) : rule.to_port < 4646 || rule.from_port > 4648])
    error_message = "4646 to 4648 are the agents' own; they are opened where they are needed already."
  }
}

# --- Secrets -------------------------------------------------------------------------------------

variable "pki_dir" {
  description = "Folder made by `rehearse pki create`. Null: `pki` beside this file."
  type        = string
  default     = null
}

variable "pki_version" {
  description = "Raised by `rehearse pki rotate`: write-only values are sent again only when it changes."
  type        = number
  default     = 1

  validation {
    condition     = var.pki_version >= 1 && floor(var.pki_version) == var.pki_version
    error_message = "A whole number from 1."
  }
}

variable "kms_key_id" {
  description = "ARN of the KMS key of the secrets and disks. Null: the account's own keys for SSM and EBS."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_id == null || can(regex("^arn:[a-z-]+:kms:", coalesce(var.kms_key_id, "none")))
    error_message = "The key's ARN: the machines' permission to decrypt is given for it."
  }
}
