# Redis in cluster mode, encrypted at rest and on the way, users instead of one shared password.

locals {
  redis = var.redis == null ? {} : { this = var.redis }
}

data "aws_secretsmanager_secret_version" "redis" {
  for_each  = local.redis
  secret_id = var.secret_arns["security-hub/redis"]
}

resource "aws_elasticache_subnet_group" "this" {
  for_each   = local.redis
  name       = var.name
  subnet_ids = var.intra_subnet_ids
  tags       = var.tags
}

resource "aws_security_group" "redis" {
  for_each    = local.redis
  name        = "${var.name}-redis"
  description = "Redis: from the cluster only, and no way out"
  vpc_id      = var.network_id
  tags        = merge(var.tags, { Name = "${var.name}-redis" })
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  for_each                     = local.redis
  security_group_id            = aws_security_group.redis[each.key].id
  description                  = "The cluster"
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
  referenced_security_group_id = var.client_group_id
}

# Every group must have a `default`; this one can do nothing.
resource "aws_elasticache_user" "default" {
  for_each      = local.redis
  user_id       = "${var.name}-default"
  user_name     = "default"
  engine        = "redis"
  access_string = "off ~* -@all"
  authentication_mode {
    type = "no-password-required"
  }
  tags = var.tags
}

# The hub: its own keys and channels, nothing that administers. The password comes out of Secrets Manager, and is by that
# in the state as well, which is encrypted and closed to all but the administrators and the role that plans.
resource "aws_elasticache_user" "hub" {
  for_each      = local.redis
  user_id       = "${var.name}-hub"
  user_name     = "hub"
  engine        = "redis"
  access_string = "on ~hub:* resetchannels &hub:* +@all -@admin -@dangerous +cluster|slots +cluster|shards +cluster|nodes"
  authentication_mode {
    type      = "password"
    passwords = [jsondecode(data.aws_secretsmanager_secret_version.redis[each.key].secret_string)["hub"]]
  }
  tags = var.tags
}

resource "aws_elasticache_user_group" "this" {
  for_each      = local.redis
  user_group_id = var.name
  engine        = "redis"
  user_ids      = [aws_elasticache_user.default[each.key].user_id, aws_elasticache_user.hub[each.key].user_id]
  tags          = var.tags
}

resource "aws_elasticache_parameter_group" "this" {
  for_each    = local.redis
  name        = "${var.name}-redis7"
  family      = "redis7"
  description = "Cluster mode; nothing is evicted that has no end of its own"
  parameter {
    name  = "cluster-enabled"
    value = "yes"
  }
  parameter {
    # Sessions and revocations must not vanish under pressure; counters of limits may.
    name  = "maxmemory-policy"
    value = "volatile-ttl"
  }
  tags = var.tags
}

resource "aws_cloudwatch_log_group" "redis" {
  for_each          = var.redis == null ? toset([]) : toset(["engine-log", "slow-log"])
  name              = "/${var.name}/redis/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arns["logs"]
  tags              = var.tags
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV_AWS_31:users and their passwords (user_group_ids) in place of the one shared token
  for_each             = local.redis
  replication_group_id = var.name
  description          = "Sessions, limits, revocations of the hub"
  engine               = "redis"
  engine_version       = each.value.release
  node_type            = each.value.machine
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.this[each.key].name

  cluster_mode               = "enabled"
  num_node_groups            = each.value.shards
  replicas_per_node_group    = each.value.replicas_per_shard
  automatic_failover_enabled = true
  multi_az_enabled           = true

  subnet_group_name          = aws_elasticache_subnet_group.this[each.key].name
  security_group_ids         = [aws_security_group.redis[each.key].id]
  user_group_ids             = [aws_elasticache_user_group.this[each.key].user_group_id]
  at_rest_encryption_enabled = true
  kms_key_id                 = var.key_arns["data"]
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"

  snapshot_retention_limit   = each.value.snapshot_days
  snapshot_window            = "02:00-03:00"
  maintenance_window         = "sun:04:30-sun:05:30"
  auto_minor_version_upgrade = true
  apply_immediately          = false

  dynamic "log_delivery_configuration" {
    for_each = aws_cloudwatch_log_group.redis
    content {
      destination      = log_delivery_configuration.value.name
      destination_type = "cloudwatch-logs"
      log_format       = "json"
      log_type         = log_delivery_configuration.key
    }
  }
  tags = merge(var.tags, { Name = var.name })
}
