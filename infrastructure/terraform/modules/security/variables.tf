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

variable "backup_region" {
  description = "Another region, where copies of backups and secrets are kept."
  type        = string
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.backup_region))
    error_message = "The name of a region, for example eu-west-1."
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

variable "trail_retention_days" {
  description = "How long nobody, not even the account's owner, can delete the audit trail."
  type        = number
  validation {
    condition     = var.trail_retention_days >= 30 && var.trail_retention_days <= 3650
    error_message = "Between 30 days and ten years; it cannot be shortened afterwards."
  }
}

variable "backup_retention_days" {
  description = "How long backups are kept."
  type        = number
  validation {
    condition     = var.backup_retention_days >= 7 && var.backup_retention_days <= 365
    error_message = "Between a week and a year."
  }
}

variable "backup_lock_grace_days" {
  description = "Days after which the lock on the backup vaults can no longer be taken off by anybody. 0: it always can."
  type        = number
  validation {
    condition     = var.backup_lock_grace_days == 0 || var.backup_lock_grace_days >= 3
    error_message = "Nothing, or at least three days."
  }
}

variable "shield_advanced" {
  description = "Shield Advanced: 3,000 USD a month for a year. Shield Standard is always on and free."
  type        = bool
  default     = false
}

variable "shield_resource_arns" {
  description = "What Shield Advanced protects: name to load balancer or address (these are made by the cluster)."
  type        = map(string)
  default     = {}
}

variable "account_services" {
  description = "GuardDuty, Security Hub, Config and registry scanning stand once in an account and region: off where it has them already, for example of the organisation."
  type        = bool
  default     = true
}

variable "request_rate_limit" {
  description = "Requests of one address within five minutes, above which the firewall refuses it."
  type        = number
  default     = 3000
  validation {
    condition     = var.request_rate_limit >= 100 && var.request_rate_limit <= 2000000
    error_message = "Between 100 and 2,000,000."
  }
}

variable "denied_countries" {
  description = "ISO 3166 codes of countries that the firewall refuses."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for c in var.denied_countries : can(regex("^[A-Z]{2}$", c))])
    error_message = "Two capital letters each."
  }
}

variable "admin_role_arns" {
  description = "Roles that administer keys and may break the glass; at least one."
  type        = list(string)
  validation {
    condition     = length(var.admin_role_arns) > 0 && alltrue([for a in var.admin_role_arns : can(regex("^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", a))])
    error_message = "At least one, each a role's whole ARN without wildcards."
  }
}

variable "backup_lock_days" {
  description = "How long no object of the backup bucket can be deleted for good, whoever asks."
  type        = number
  default     = 14
  validation {
    condition     = var.backup_lock_days >= 1 && var.backup_lock_days <= 90
    error_message = "Between 1 and 90 days."
  }
}
