variable "name" {
  description = "Prefix of every name, for example security-hub-production."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "A name is 3 to 32 small letters, digits and hyphens, beginning with a letter."
  }
}

variable "tags" {
  description = "Tags on top of the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "network_id" {
  description = "The network."
  type        = string
}

variable "private_subnet_ids" {
  description = "Where Grafana's interfaces to the network stand."
  type        = list(string)
}

variable "cluster_name" {
  description = "The cluster, whose Prometheus writes to the managed one."
  type        = string
}

variable "log_key_arn" {
  description = "KMS key of log groups and log buckets."
  type        = string
}

variable "trail_log_group" {
  description = "Log group of the audit trail."
  type        = string
}

variable "backup_bucket" {
  description = "Bucket of the database's backups; a copy that fails is told."
  type        = string
}

variable "alarm_targets" {
  description = "Identifiers of the databases' machines, from the databases module."
  type = object({
    postgresql_primary  = list(string)
    postgresql_replicas = list(string)
    redis               = list(string)
    storage_gib         = number
  })
}

variable "alarm_emails" {
  description = "Who hears of alarms and budgets; each confirms by mail once."
  type        = list(string)
  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for e in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[a-z]+$", e))])
    error_message = "At least one address."
  }
}

variable "monthly_budget_usd" {
  description = "What the environment may cost in a month."
  type        = number
  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "More than nothing."
  }
}

variable "anomaly_threshold_usd" {
  description = "A cost anomaly above this is told at once."
  type        = number
  validation {
    condition     = var.anomaly_threshold_usd > 0
    error_message = "More than nothing."
  }
}

variable "log_retention_days" {
  description = "How long logs stay in CloudWatch."
  type        = number
  default     = 365
  validation {
    condition     = contains([30, 90, 180, 365, 400, 731, 1096], var.log_retention_days)
    error_message = "One of the periods that CloudWatch knows, from 30 days up."
  }
}

variable "metrics_retention_days" {
  description = "How long the managed Prometheus keeps samples."
  type        = number
  default     = 150
  validation {
    condition     = var.metrics_retention_days >= 30 && var.metrics_retention_days <= 1095
    error_message = "Between 30 days and three years."
  }
}

variable "archive_lock_days" {
  description = "How long nobody can delete archived logs."
  type        = number
  validation {
    condition     = var.archive_lock_days >= 1 && var.archive_lock_days <= 3650
    error_message = "Between a day and ten years; what is written cannot be deleted sooner."
  }
}

variable "managed_grafana" {
  description = "A managed Grafana with the organisation's sign-in (IAM Identity Center); off where the cluster's own is enough."
  type        = bool
  default     = false
}

variable "grafana_groups" {
  description = "Who may what in the managed Grafana: ADMIN, EDITOR, VIEWER to groups of IAM Identity Center."
  type        = map(list(string))
  default     = {}
  validation {
    condition     = length(setsubtract(keys(var.grafana_groups), ["ADMIN", "EDITOR", "VIEWER"])) == 0
    error_message = "ADMIN, EDITOR, VIEWER."
  }
  validation {
    condition     = !var.managed_grafana || length(lookup(var.grafana_groups, "ADMIN", [])) > 0
    error_message = "Without a group of administrators nobody can make use of the managed Grafana."
  }
}

variable "account_services" {
  description = "Alarms on findings and cost anomalies stand once in an account: off where it has them already."
  type        = bool
  default     = true
}
