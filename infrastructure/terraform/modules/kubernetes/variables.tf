variable "name" {
  description = "Prefix of every name and the cluster's name, for example security-hub-production."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "A name is 3 to 32 small letters, digits and hyphens, beginning with a letter."
  }
}

variable "tags" {
  description = "The environment's tags, by which costs are told apart; the provider's default tags do not reach machines and volumes."
  type        = map(string)
}

variable "kubernetes_version" {
  description = "Kubernetes' minor release; one of those that the overlays are checked against."
  type        = string
  validation {
    condition     = can(regex("^1\\.(3[4-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "A minor release, 1.34 or later."
  }
}

variable "network_id" {
  description = "The network."
  type        = string
}

variable "private_subnet_ids" {
  description = "Where nodes and the control plane's interfaces stand."
  type        = list(string)
  validation {
    condition     = length(var.private_subnet_ids) >= 3
    error_message = "Three zones."
  }
}

variable "operator_networks" {
  description = "Networks behind the VPN, from which operators reach the private endpoint."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for n in var.operator_networks : can(cidrhost(n, 0)) && n != "0.0.0.0/0"])
    error_message = "IPv4 prefixes, and not everything."
  }
}

variable "service_cidr" {
  description = "Addresses of the cluster's Services, the API server's among them. In 10.0.0.0/8, where the overlays' network policies look for it; cannot be changed later."
  type        = string
  validation {
    condition     = can(regex("^10\\.", var.service_cidr)) && can(cidrhost(var.service_cidr, 0)) && contains(range(12, 25), tonumber(split("/", var.service_cidr)[1]))
    error_message = "A prefix of 10.0.0.0/8 between /12 and /24."
  }
}

variable "key_arns" {
  description = "Keys by purpose; `cluster`, `secrets`, `logs` and `data` are used here."
  type        = map(string)
  validation {
    condition     = length(setsubtract(["cluster", "secrets", "logs", "data"], keys(var.key_arns))) == 0
    error_message = "The keys `cluster`, `secrets`, `logs` and `data` are needed."
  }
}

variable "secret_arns" {
  description = "Secrets that the External Secrets Operator may read, by name."
  type        = map(string)
}

variable "registry_arns" {
  description = "Repositories that the pipeline may push to, by name."
  type        = map(string)
}

variable "backup_bucket_arn" {
  description = "Bucket that the in-cluster database's backups go to."
  type        = string
}

variable "firewall_arn" {
  description = "Web ACL that the load balancer controller may hang on an application load balancer; nothing asks it to."
  type        = string
}

variable "dns_zone_id" {
  description = "The zone in Route 53 in which cert-manager proves that the hub's host name is ours."
  type        = string
  validation {
    condition     = can(regex("^Z[A-Z0-9]{4,31}$", var.dns_zone_id))
    error_message = "The identifier of a hosted zone, for example Z0123456789ABC."
  }
}

variable "node_pools" {
  description = <<-TEXT
    Groups of nodes. `capacity`: on-demand or spot. The first system pool carries Karpenter, which adds nodes beyond
    these by itself; its node pools' limits bound it.
  TEXT
  type = map(object({
    capacity  = string
    machines  = list(string)
    minimum   = number
    maximum   = number
    disk_gib  = optional(number, 50)
    labels    = optional(map(string), {})
    dedicated = optional(string)
  }))
  validation {
    condition     = alltrue([for p in var.node_pools : contains(["on-demand", "spot"], p.capacity)])
    error_message = "The capacity is on-demand or spot."
  }
  validation {
    condition     = alltrue([for p in var.node_pools : p.minimum >= 0 && p.maximum >= p.minimum && p.maximum >= 1 && length(p.machines) > 0])
    error_message = "Each pool needs machine types and 0 <= minimum <= maximum."
  }
  validation {
    condition     = alltrue([for p in var.node_pools : p.capacity != "spot" || length(p.machines) >= 3])
    error_message = "A spot pool needs three machine types or more, or one shortage empties it."
  }
  validation {
    condition     = anytrue([for p in var.node_pools : p.capacity == "on-demand" && p.minimum >= 2])
    error_message = "At least one pool on demand with two nodes, for what must not be interrupted."
  }
}

variable "log_retention_days" {
  description = "How long the control plane's logs stay in CloudWatch."
  type        = number
  default     = 365
  validation {
    condition     = contains([30, 90, 180, 365, 400, 731, 1096], var.log_retention_days)
    error_message = "One of the periods that CloudWatch knows, from 30 days up."
  }
}

variable "deletion_protection" {
  description = "The cluster cannot be deleted until this is off."
  type        = bool
  default     = true
}

variable "admin_role_arns" {
  description = "Roles that administer the cluster."
  type        = list(string)
  validation {
    condition     = length(var.admin_role_arns) > 0 && alltrue([for a in var.admin_role_arns : can(regex("^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", a))])
    error_message = "At least one, each a role's whole ARN without wildcards."
  }
}

variable "deploy_repository" {
  description = "The repository whose pipeline deploys, as owner/name."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.deploy_repository))
    error_message = "owner/name."
  }
}

variable "deploy_environment" {
  description = "The pipeline's protected environment whose jobs may take the deploy role, and with `-plan` behind it the plan role; no other job may."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*$", var.deploy_environment))
    error_message = "The name of one environment."
  }
}

variable "plan_secret_arns" {
  description = "Secrets whose values a plan reads: the managed Redis' one; none where the cluster runs it."
  type        = list(string)
}

variable "deploy_provider_arn" {
  description = "The account's OIDC provider of GitHub's pipelines; null makes it."
  type        = string
  default     = null
}
