mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

variables {
  name                = "security-hub-test"
  backup_tag          = { backup = "security-hub-test" }
  backup_region       = "eu-west-1"
  backup_copy_key_arn = "arn:aws:kms:eu-west-1:000000000001:key/copy"
  network_id          = "vpc-mocked"
  intra_subnet_ids    = ["subnet-a", "subnet-b", "subnet-c"]
  client_group_id     = "sg-nodes"
  key_arns = {
    data    = "arn:aws:kms:eu-central-1:000000000001:key/data"
    secrets = "arn:aws:kms:eu-central-1:000000000001:key/secrets"
    logs    = "arn:aws:kms:eu-central-1:000000000001:key/logs"
  }
  secret_arns = { "security-hub/redis" = "arn:aws:secretsmanager:eu-central-1:000000000001:secret:security-hub/redis" }
  postgresql = {
    release     = "17.6", machine = "db.r7g.large", replicas = 2, multi_zone = true
    storage_gib = 100, storage_max_gib = 1000, backup_days = 35
  }
  redis = { release = "7.1", machine = "cache.r7g.large", shards = 3, replicas_per_shard = 1, snapshot_days = 7 }
}

run "postgresql" {
  command = plan

  assert {
    condition     = aws_db_instance.primary["primary"].multi_az && aws_db_instance.primary["primary"].deletion_protection && aws_db_instance.primary["primary"].backup_retention_period == 35
    error_message = "Two zones, not deletable, recovery over 35 days."
  }
  assert {
    condition     = aws_db_instance.primary["primary"].storage_encrypted && aws_db_instance.primary["primary"].kms_key_id == var.key_arns["data"] && !aws_db_instance.primary["primary"].publicly_accessible
    error_message = "Encrypted with our key, not public."
  }
  assert {
    condition     = aws_db_instance.primary["primary"].manage_master_user_password && aws_db_instance.primary["primary"].password == null
    error_message = "AWS keeps the password; we never have it."
  }
  assert {
    condition     = length(aws_db_instance.replica) == 2 && alltrue([for r in aws_db_instance.replica : r.storage_encrypted])
    error_message = "Two encrypted replicas."
  }
  assert {
    condition     = aws_db_instance_automated_backups_replication.this["primary"].region == "eu-west-1" && aws_db_instance_automated_backups_replication.this["primary"].kms_key_id == var.backup_copy_key_arn
    error_message = "Recovery in the other region."
  }
  assert {
    condition     = aws_db_instance.primary["primary"].tags["backup"] == "security-hub-test"
    error_message = "In the backup plan."
  }
  assert {
    condition     = one([for p in aws_db_parameter_group.this["primary"].parameter : p.value if p.name == "rds.force_ssl"]) == "1" && aws_db_parameter_group.this["primary"].family == "postgres17"
    error_message = "TLS only."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.postgresql["primary"].referenced_security_group_id == "sg-nodes" && aws_vpc_security_group_ingress_rule.postgresql["primary"].cidr_ipv4 == null
    error_message = "From the cluster only."
  }
}

run "redis" {
  command = plan

  assert {
    condition     = aws_elasticache_replication_group.this["this"].num_node_groups == 3 && aws_elasticache_replication_group.this["this"].cluster_mode == "enabled" && aws_elasticache_replication_group.this["this"].multi_az_enabled
    error_message = "Cluster mode over zones."
  }
  assert {
    condition     = aws_elasticache_replication_group.this["this"].transit_encryption_mode == "required" && tobool(aws_elasticache_replication_group.this["this"].at_rest_encryption_enabled)
    error_message = "Encrypted on the way and at rest."
  }
  assert {
    condition     = startswith(aws_elasticache_user.default["this"].access_string, "off ") && aws_elasticache_user.hub["this"].user_name == "hub"
    error_message = "`default` can do nothing; the hub has its own user."
  }
  assert {
    condition     = output.alarm_targets.storage_gib == 100 && length(output.alarm_targets.redis) == 6
    error_message = "All six members are watched."
  }
}

run "in_the_cluster_instead" {
  command = plan
  variables {
    postgresql = null
    redis      = null
  }
  assert {
    condition     = output.postgresql == null && output.redis == null && length(aws_db_instance.primary) == 0 && length(aws_elasticache_replication_group.this) == 0
    error_message = "Nothing is made where the cluster runs both."
  }
}

run "old_postgresql_is_refused" {
  command = plan
  variables {
    postgresql = { release = "15.9", machine = "db.r7g.large", replicas = 0, multi_zone = true, storage_gib = 100, storage_max_gib = 200, backup_days = 7 }
  }
  expect_failures = [var.postgresql]
}

run "no_backups_are_refused" {
  command = plan
  variables {
    postgresql = { release = "17.6", machine = "db.r7g.large", replicas = 0, multi_zone = true, storage_gib = 100, storage_max_gib = 200, backup_days = 0 }
  }
  expect_failures = [var.postgresql]
}

run "a_shard_without_a_replica_is_refused" {
  command = plan
  variables {
    redis = { release = "7.1", machine = "cache.r7g.large", shards = 3, replicas_per_shard = 0, snapshot_days = 7 }
  }
  expect_failures = [var.redis]
}
