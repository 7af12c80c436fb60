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

variable "backup_tag" {
  description = "The tag that puts the database into the backup plan."
  type        = map(string)
}

variable "backup_region" {
  description = "Another region, to which automated backups and the write-ahead log are copied."
  type        = string
}

variable "backup_copy_key_arn" {
  description = "Key of the copies in that region."
  type        = string
}

variable "network_id" {
  description = "The network."
  type        = string
}

variable "intra_subnet_ids" {
  description = "Subnets without a way out, one in each zone."
  type        = list(string)
  validation {
    condition     = length(var.intra_subnet_ids) >= 3
    error_message = "Three zones."
  }
}

variable "client_group_id" {
  description = "Security group of those who may connect: the cluster's nodes and pods."
  type        = string
}

variable "key_arns" {
  description = "Keys by purpose; `data`, `secrets` and `logs` are used here."
  type        = map(string)
  validation {
    condition     = length(setsubtract(["data", "secrets", "logs"], keys(var.key_arns))) == 0
    error_message = "The keys `data`, `secrets` and `logs` are needed."
  }
}

variable "secret_arns" {
  description = "Secrets by name; `security-hub/redis` is read here."
  type        = map(string)
  validation {
    condition     = contains(keys(var.secret_arns), "security-hub/redis")
    error_message = "The secret `security-hub/redis` is needed."
  }
}

variable "log_retention_days" {
  description = "How long the databases' logs stay in CloudWatch."
  type        = number
  default     = 365
  validation {
    condition     = contains([30, 90, 180, 365, 400, 731, 1096], var.log_retention_days)
    error_message = "One of the periods that CloudWatch knows, from 30 days up."
  }
}

variable "postgresql" {
  description = "Managed PostgreSQL; null where the cluster runs it (README: which of the two, and TimescaleDB)."
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
    condition     = var.postgresql == null || can(regex("^(1[6-9]|[2-9][0-9])\\.[0-9]+$", var.postgresql.release))
    error_message = "PostgreSQL 16 or later, with its minor release."
  }
  validation {
    condition     = var.postgresql == null || try(var.postgresql.replicas >= 0 && var.postgresql.replicas <= 5, false)
    error_message = "0 to 5 read replicas."
  }
  validation {
    condition     = var.postgresql == null || try(var.postgresql.storage_gib >= 20 && var.postgresql.storage_max_gib > var.postgresql.storage_gib, false)
    error_message = "At least 20 GiB, and room to grow."
  }
  validation {
    condition     = var.postgresql == null || try(var.postgresql.backup_days >= 7 && var.postgresql.backup_days <= 35, false)
    error_message = "Point-in-time recovery over 7 to 35 days."
  }
  validation {
    condition     = var.postgresql == null || can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.postgresql.machine))
    error_message = "A machine, for example db.r7g.large."
  }
}

variable "redis" {
  description = "Managed Redis in cluster mode; null where the cluster runs it. It needs a value in its secret first (README)."
  type = object({
    release            = string
    machine            = string
    shards             = number
    replicas_per_shard = number
    snapshot_days      = number
  })
  default = null
  validation {
    condition     = var.redis == null || can(regex("^7\\.[0-9]+$", var.redis.release))
    error_message = "Redis 7."
  }
  validation {
    condition     = var.redis == null || try(var.redis.shards >= 1 && var.redis.shards <= 20 && var.redis.replicas_per_shard >= 1 && var.redis.replicas_per_shard <= 5, false)
    error_message = "1 to 20 shards with 1 to 5 replicas each: a shard without one is lost with its machine."
  }
  validation {
    condition     = var.redis == null || can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.redis.machine))
    error_message = "A machine, for example cache.r7g.large."
  }
}
