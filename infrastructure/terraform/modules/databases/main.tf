# PostgreSQL, managed: two zones with a synchronous standby, read replicas, point-in-time recovery here and in the other
# region. Redis is in redis.tf.

data "aws_caller_identity" "current" {}

locals {
  postgresql = var.postgresql == null ? {} : { primary = var.postgresql }
  replicas   = { for i in range(try(var.postgresql.replicas, 0)) : "replica-${i + 1}" => i }
  major      = var.postgresql == null ? "" : split(".", var.postgresql.release)[0]
}

resource "aws_db_subnet_group" "this" {
  for_each   = local.postgresql
  name       = var.name
  subnet_ids = var.intra_subnet_ids
  tags       = var.tags
}

resource "aws_security_group" "postgresql" {
  for_each    = local.postgresql
  name        = "${var.name}-postgresql"
  description = "PostgreSQL: from the cluster only, and no way out"
  vpc_id      = var.network_id
  tags        = merge(var.tags, { Name = "${var.name}-postgresql" })
}

resource "aws_vpc_security_group_ingress_rule" "postgresql" {
  for_each                     = local.postgresql
  security_group_id            = aws_security_group.postgresql[each.key].id
  description                  = "The cluster"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = var.client_group_id
}

resource "aws_db_parameter_group" "this" {
  for_each    = local.postgresql
  name_prefix = "${var.name}-"
  family      = "postgres${local.major}"
  description = "TLS only; what was done is logged"

  dynamic "parameter" {
    for_each = {
      "rds.force_ssl"                       = { value = "1", method = "immediate" }
      "ssl_min_protocol_version"            = { value = "TLSv1.3", method = "immediate" }
      "password_encryption"                 = { value = "scram-sha-256", method = "immediate" }
      "rds.accepted_password_auth_method"   = { value = "scram", method = "immediate" }
      "shared_preload_libraries"            = { value = "pg_stat_statements,pgaudit", method = "pending-reboot" }
      "pgaudit.log"                         = { value = "ddl,role", method = "immediate" }
      "log_connections"                     = { value = "1", method = "immediate" }
      "log_disconnections"                  = { value = "1", method = "immediate" }
      "log_lock_waits"                      = { value = "1", method = "immediate" }
      "log_statement"                       = { value = "ddl", method = "immediate" }
      "log_min_duration_statement"          = { value = "500", method = "immediate" }
      "idle_in_transaction_session_timeout" = { value = "60000", method = "immediate" }
    }
    content {
      name         = parameter.key
      value        = parameter.value.value
      apply_method = parameter.value.method
    }
  }
  tags = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "monitoring" {
  for_each = local.postgresql
  name     = "${var.name}-database-monitoring"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  for_each   = local.postgresql
  role       = aws_iam_role.monitoring[each.key].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_cloudwatch_log_group" "postgresql" {
  for_each          = var.postgresql == null ? toset([]) : toset(concat(["primary"], keys(local.replicas)))
  name              = "/aws/rds/instance/${var.name}-${each.key}/postgresql"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arns["logs"]
  tags              = var.tags
}

resource "aws_db_instance" "primary" {
  #checkov:skip=CKV_AWS_133:7 to 35 days, which the variable demands; this check does not unfold for_each
  #checkov:skip=CKV_AWS_157:one zone is a choice of the development environment only; production's is asserted by its tests
  #checkov:skip=CKV_AWS_293:on unless an environment turns it off, which production's tests forbid
  for_each       = local.postgresql
  identifier     = "${var.name}-primary"
  engine         = "postgres"
  engine_version = each.value.release
  instance_class = each.value.machine
  db_name        = "security_hub"
  port           = 5432

  # Its owner is not the hub's: hub_owner and hub_app are made with it once (README). AWS makes, keeps and rotates its
  # password in Secrets Manager; it is in no file and not in the state.
  username                            = "hub_admin"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.key_arns["secrets"]
  iam_database_authentication_enabled = true

  storage_type          = "gp3"
  allocated_storage     = each.value.storage_gib
  max_allocated_storage = each.value.storage_max_gib
  storage_encrypted     = true
  kms_key_id            = var.key_arns["data"]

  multi_az               = each.value.multi_zone
  db_subnet_group_name   = aws_db_subnet_group.this[each.key].name
  vpc_security_group_ids = [aws_security_group.postgresql[each.key].id]
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"
  parameter_group_name   = aws_db_parameter_group.this[each.key].name

  # Point-in-time recovery to any second of these days; the nightly snapshots of the plan reach further back.
  backup_retention_period   = each.value.backup_days
  backup_window             = "01:00-01:45"
  maintenance_window        = "sun:03:30-sun:04:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.name}-final"
  deletion_protection       = each.value.deletion_protection

  auto_minor_version_upgrade  = true
  allow_major_version_upgrade = false
  apply_immediately           = false

  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  monitoring_interval                   = 30
  monitoring_role_arn                   = aws_iam_role.monitoring[each.key].arn
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.key_arns["data"]
  performance_insights_retention_period = 7

  tags = merge(var.tags, var.backup_tag, { Name = "${var.name}-primary" })

  depends_on = [aws_cloudwatch_log_group.postgresql, aws_iam_role_policy_attachment.monitoring]
}

resource "aws_db_instance" "replica" {
  #checkov:skip=CKV_AWS_157:a replica is itself the second machine
  #checkov:skip=CKV_AWS_293:a replica holds nothing that its primary has not
  for_each            = local.replicas
  identifier          = "${var.name}-${each.key}"
  replicate_source_db = aws_db_instance.primary["primary"].identifier
  instance_class      = coalesce(var.postgresql.replica_machine, var.postgresql.machine)

  storage_encrypted                   = true
  kms_key_id                          = var.key_arns["data"]
  max_allocated_storage               = var.postgresql.storage_max_gib
  iam_database_authentication_enabled = true
  vpc_security_group_ids              = [aws_security_group.postgresql["primary"].id]
  publicly_accessible                 = false
  ca_cert_identifier                  = "rds-ca-rsa2048-g1"
  parameter_group_name                = aws_db_parameter_group.this["primary"].name
  # Kept, so that a replica that is promoted has backups from its first minute.
  backup_retention_period    = 7
  copy_tags_to_snapshot      = true
  skip_final_snapshot        = true
  auto_minor_version_upgrade = true
  maintenance_window         = "sat:03:30-sat:04:30"

  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  monitoring_interval                   = 30
  monitoring_role_arn                   = aws_iam_role.monitoring["primary"].arn
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.key_arns["data"]
  performance_insights_retention_period = 7

  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })

  depends_on = [aws_cloudwatch_log_group.postgresql]
}

# Snapshots and write-ahead log in the other region: recovery to a point in time there, minutes behind.
resource "aws_db_instance_automated_backups_replication" "this" {
  for_each               = local.postgresql
  region                 = var.backup_region
  source_db_instance_arn = aws_db_instance.primary[each.key].arn
  kms_key_id             = var.backup_copy_key_arn
  retention_period       = each.value.backup_days
}
