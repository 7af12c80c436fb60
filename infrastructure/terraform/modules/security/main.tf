# What guards the rest: keys, secrets, firewall, detection, the audit trail, the registry and the backup vaults.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  region  = data.aws_region.current.region
  account = data.aws_caller_identity.current.account_id

  # One key for each purpose: whoever may read images may not read the trail.
  # purpose => services that use the key on their own behalf, tied to this account by a condition.
  keys = {
    cluster  = { description = "Kubernetes secrets and the nodes' disks", services = [] }
    data     = { description = "PostgreSQL, Redis, backups", services = ["backup.amazonaws.com"] }
    secrets  = { description = "Secrets Manager", services = [] }
    logs     = { description = "Log groups and log buckets", services = ["logs.${local.region}.amazonaws.com"] }
    registry = { description = "Container images", services = [] }
    trail    = { description = "The audit trail", services = ["cloudtrail.amazonaws.com", "config.amazonaws.com"] }
  }
  # Through which services the account's identities may use a key; IAM says who.
  via = {
    cluster  = ["ec2", "eks", "autoscaling"]
    data     = ["rds", "elasticache", "s3", "backup", "secretsmanager"]
    secrets  = ["secretsmanager"]
    logs     = ["s3", "logs", "firehose"]
    registry = ["ecr"]
    trail    = ["s3", "cloudtrail"]
  }
}

resource "aws_kms_key" "this" {
  for_each                = local.keys
  description             = "${var.name}: ${each.value.description}"
  enable_key_rotation     = true
  rotation_period_in_days = 180
  deletion_window_in_days = 30
  # The secrets' key has a replica, so that their copies in the other region can be read there.
  multi_region = each.key == "secrets"

  # wildcard: in the policy of a key, the resource "*" is that key and nothing else; AWS knows no other way to say it.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "Administrators"
          Effect    = "Allow"
          Principal = { AWS = var.admin_role_arns }
          Action = [
            "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey", "kms:EnableKey",
            "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListGrants", "kms:ListKeyPolicies",
            "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ReplicateKey", "kms:RevokeGrant",
            "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias",
            "kms:UpdateKeyDescription", "kms:UpdatePrimaryRegion",
          ]
          Resource = "*"
        },
        {
          # Without the account itself, a key whose administrators are gone could never be managed again. A plan asks for the
          # rotation and the tags as well, under a role that administers nothing.
          Sid       = "AccountMayRepairThePolicy"
          Effect    = "Allow"
          Principal = { AWS = "arn:aws:iam::${local.account}:root" }
          Action    = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags", "kms:PutKeyPolicy"]
          Resource  = "*"
        },
        {
          # The account, not everybody in it: their own policies must say so as well.
          Sid       = "UseThroughServices"
          Effect    = "Allow"
          Principal = { AWS = "arn:aws:iam::${local.account}:root" }
          Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
          Resource  = "*"
          Condition = {
            StringEquals = {
              "kms:CallerAccount" = local.account
              "kms:ViaService"    = flatten([for s in local.via[each.key] : [for r in [local.region, var.backup_region] : "${s}.${r}.amazonaws.com"]])
            }
          }
        },
        {
          Sid       = "GrantsForServicesOnly"
          Effect    = "Allow"
          Principal = { AWS = "arn:aws:iam::${local.account}:root" }
          Action    = ["kms:CreateGrant"]
          Resource  = "*"
          Condition = {
            Bool = { "kms:GrantIsForAWSResource" = "true" }
            StringEquals = {
              "kms:CallerAccount" = local.account
              "kms:ViaService"    = flatten([for s in local.via[each.key] : [for r in [local.region, var.backup_region] : "${s}.${r}.amazonaws.com"]])
            }
          }
        },
      ],
      length(each.value.services) == 0 ? [] : [{
        Sid       = "Service"
        Effect    = "Allow"
        Principal = { Service = each.value.services }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"]
        Resource  = "*"
        Condition = each.key == "logs" ? {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${local.region}:${local.account}:log-group:*" }
        } : { StringEquals = { "aws:SourceAccount" = local.account } }
      }],
      each.key != "cluster" ? [] : [{
        # Whoever makes the cluster hands the key to it. EKS refuses the condition of GrantsForServicesOnly there.
        Sid       = "ClusterIsMade"
        Effect    = "Allow"
        Principal = { AWS = var.admin_role_arns }
        Action    = ["kms:CreateGrant", "kms:DescribeKey"]
        Resource  = "*"
      }],
      each.key != "cluster" ? [] : [{
        # Nodes' disks: the group that starts the nodes opens them with this role. It is the account's own, made by AWS.
        Sid       = "NodeDisks"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${local.account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling" }
        Action    = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"]
        Resource  = "*"
      }],
    )
  })
  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_kms_alias" "this" {
  for_each      = local.keys
  name          = "alias/${var.name}-${each.key}"
  target_key_id = aws_kms_key.this[each.key].key_id
}

resource "aws_kms_replica_key" "secrets" {
  region                  = var.backup_region
  description             = "${var.name}: copies of the secrets"
  primary_key_arn         = aws_kms_key.this["secrets"].arn
  policy                  = aws_kms_key.this["secrets"].policy
  deletion_window_in_days = 30
  tags                    = var.tags
}
