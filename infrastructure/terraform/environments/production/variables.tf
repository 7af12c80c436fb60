# Checks of a value's form stand in the modules; here is what only an environment knows.

variable "environment" {
  description = "production, staging or development."
  type        = string
  validation {
    condition     = contains(["production", "staging", "development"], var.environment)
    error_message = "production, staging or development."
  }
}

variable "account_id" {
  description = "The cloud's account; any other is refused (versions.tf). Each environment has its own."
  type        = string
}

variable "owner" {
  description = "The team that answers for the environment."
  type        = string
}

variable "cost_centre" {
  description = "Who pays for it."
  type        = string
}

variable "region" {
  description = "Where it runs."
  type        = string
}

variable "backup_region" {
  description = "Where copies of its backups are."
  type        = string
  validation {
    condition     = var.backup_region != var.region
    error_message = "A copy in the same region is lost with it."
  }
}

variable "cidr" {
  description = "Addresses of its network; no two environments share any."
  type        = string
}

variable "zones" {
  description = "Three availability zones of the region."
  type        = list(string)
}

variable "nat_per_zone" {
  description = "A NAT gateway in each zone, or one for all."
  type        = bool
  validation {
    condition     = var.nat_per_zone || var.environment != "production"
    error_message = "Production must survive the loss of a zone."
  }
}

variable "vpn_sites" {
  description = "Sites that reach the cluster's private endpoint; nobody else does."
  type = map(object({
    address  = string
    asn      = optional(number, 65000)
    networks = list(string)
  }))
  validation {
    condition     = length(var.vpn_sites) > 0
    error_message = "The cluster answers inside the network only: without a site nobody can get in, not even to install what must be there first."
  }
  default = {}
}

variable "service_cidr" {
  description = "Addresses of the cluster's Services. The same in all environments: the ingress asks its firewall at one of them (infrastructure/kubernetes/platform/values)."
  type        = string
  default     = "10.100.0.0/16"
  validation {
    # Two prefixes overlap when the shorter one's length makes them the same.
    condition = alltrue([for other in concat([var.cidr], flatten([for site in values(var.vpn_sites) : site.networks])) :
      cidrhost("${split("/", other)[0]}/${min(split("/", other)[1], split("/", var.service_cidr)[1])}", 0) !=
    cidrhost("${split("/", var.service_cidr)[0]}/${min(split("/", other)[1], split("/", var.service_cidr)[1])}", 0)])
    error_message = "Neither the network's nor a site's addresses: those could not be reached from the cluster."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes' minor release."
  type        = string
}

variable "node_pools" {
  description = "Groups of nodes."
  type = map(object({
    capacity  = string
    machines  = list(string)
    minimum   = number
    maximum   = number
    disk_gib  = optional(number, 50)
    labels    = optional(map(string), {})
    dedicated = optional(string)
  }))
}

variable "postgresql" {
  description = "Managed PostgreSQL; null where the cluster runs it."
  type = object({
    release             = string
    machine             = string
    replica_machine     = optional(string)
    replicas            = number
    multi_zone          = bool
    storage_gib         = number
    storage_max_gib     = number
    backup_days         = number
    deletion_protection = optional(bool, true)
  })
  default = null
  validation {
    condition     = var.environment != "production" || try(var.postgresql.multi_zone && var.postgresql.deletion_protection && var.postgresql.replicas >= 1, var.postgresql == null)
    error_message = "Production's database stands in two zones, has a replica and cannot be deleted by mistake."
  }
}

variable "redis" {
  description = "Managed Redis; null where the cluster runs it."
  type = object({
    release            = string
    machine            = string
    shards             = number
    replicas_per_shard = number
    snapshot_days      = number
  })
  default = null
}

variable "deletion_protection" {
  description = "The cluster cannot be deleted until this is off."
  type        = bool
  default     = true
  validation {
    condition     = var.deletion_protection || var.environment != "production"
    error_message = "Production cannot be deleted by mistake."
  }
}

variable "admin_role_arns" {
  description = "Roles of the administrators."
  type        = list(string)
}

variable "deploy_repository" {
  description = "The repository whose pipeline deploys, as owner/name."
  type        = string
}

variable "deploy_provider_arn" {
  description = "The account's OIDC provider of GitHub's pipelines; null makes it."
  type        = string
  default     = null
}

variable "dns_zone_id" {
  description = "The cloud's DNS zone that the hub's host name is in: cert-manager proves there that the name is ours."
  type        = string
}

variable "log_retention_days" {
  description = "How long logs stay in CloudWatch."
  type        = number
}

variable "trail_retention_days" {
  description = "How long nobody can delete the audit trail."
  type        = number
}

variable "archive_lock_days" {
  description = "How long nobody can delete archived logs."
  type        = number
}

variable "backup_retention_days" {
  description = "How long nightly snapshots are kept."
  type        = number
}

variable "backup_lock_days" {
  description = "How long nobody can delete what is in the backup bucket."
  type        = number
}

variable "backup_lock_grace_days" {
  description = "Days until the lock on the backup vaults is for ever; 0: it can always be taken off."
  type        = number
}

variable "shield_advanced" {
  description = "Shield Advanced: 3,000 USD a month."
  type        = bool
  default     = false
}

variable "shield_resource_arns" {
  description = "What Shield Advanced protects."
  type        = map(string)
  default     = {}
}

variable "request_rate_limit" {
  description = "Requests of one address within five minutes."
  type        = number
}

variable "denied_countries" {
  description = "Countries that the firewall refuses."
  type        = list(string)
  default     = []
}

variable "account_services" {
  description = "GuardDuty, Security Hub, Config, anomaly alarms: off where the account has them already, for example of the organisation."
  type        = bool
  default     = true
}

variable "alarm_emails" {
  description = "Who hears of alarms and budgets."
  type        = list(string)
}

variable "monthly_budget_usd" {
  description = "What it may cost in a month."
  type        = number
}

variable "anomaly_threshold_usd" {
  description = "A cost anomaly above this is told at once."
  type        = number
}

variable "metrics_retention_days" {
  description = "How long samples are kept."
  type        = number
}

variable "managed_grafana" {
  description = "A managed Grafana beside the cluster's."
  type        = bool
}

variable "grafana_groups" {
  description = "Who may what in it."
  type        = map(list(string))
  default     = {}
}
