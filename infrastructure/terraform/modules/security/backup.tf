# Backups by tag: whatever carries `backup = <name>` is in the plan. Copies go to a locked vault in another region.

resource "aws_kms_key" "backup_copy" {
  region                  = var.backup_region
  description             = "${var.name}: copies of backups"
  enable_key_rotation     = true
  rotation_period_in_days = 180
  deletion_window_in_days = 30
  policy                  = aws_kms_key.this["data"].policy
  tags                    = var.tags
}

resource "aws_backup_vault" "here" {
  name        = var.name
  kms_key_arn = aws_kms_key.this["data"].arn
  tags        = var.tags
}

resource "aws_backup_vault" "copy" {
  region      = var.backup_region
  name        = "${var.name}-copy"
  kms_key_arn = aws_kms_key.backup_copy.arn
  tags        = var.tags
}

resource "aws_backup_vault_lock_configuration" "here" {
  backup_vault_name   = aws_backup_vault.here.name
  min_retention_days  = 7
  max_retention_days  = 365
  changeable_for_days = var.backup_lock_grace_days > 0 ? var.backup_lock_grace_days : null
}

resource "aws_backup_vault_lock_configuration" "copy" {
  region              = var.backup_region
  backup_vault_name   = aws_backup_vault.copy.name
  min_retention_days  = 7
  max_retention_days  = 365
  changeable_for_days = var.backup_lock_grace_days > 0 ? var.backup_lock_grace_days : null
}

resource "aws_iam_role" "backup" {
  name = "${var.name}-backup"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "backup.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  tags = var.tags
}

# AWS' own policies for its own service: they follow what the service needs for each kind of resource.
resource "aws_iam_role_policy_attachment" "backup" {
  for_each = toset([
    "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
    "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores",
  ])
  role       = aws_iam_role.backup.name
  policy_arn = each.key
}

resource "aws_backup_plan" "this" {
  name = var.name
  rule {
    rule_name                = "daily"
    target_vault_name        = aws_backup_vault.here.name
    schedule                 = "cron(30 2 * * ? *)"
    start_window             = 60
    completion_window        = 360
    enable_continuous_backup = false
    lifecycle {
      delete_after = var.backup_retention_days
    }
    copy_action {
      destination_vault_arn = aws_backup_vault.copy.arn
      lifecycle {
        delete_after = var.backup_retention_days
      }
    }
  }
  tags = var.tags
}

resource "aws_backup_selection" "tagged" {
  name         = var.name
  plan_id      = aws_backup_plan.this.id
  iam_role_arn = aws_iam_role.backup.arn
  # wildcard: everything that carries the tag.
  resources = ["*"]
  condition {
    string_equals {
      key   = "aws:ResourceTag/backup"
      value = var.name
    }
  }
}
