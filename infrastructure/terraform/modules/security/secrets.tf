# Names only. The values are written once by an operator (README) and rotated by `operations`; Terraform never has
# them, so neither does its state. Copies stand in the other region.

locals {
  # The Kubernetes overlays' external secrets ask for exactly these names, the same in each environment: one account for each.
  secrets = {
    "security-hub/key-ring"           = "The hub's key ring (keys.json)"
    "security-hub/database/hub-owner" = "{password}: the role that owns the schema; migrations only"
    "security-hub/database/hub-app"   = "{password}: the servers' role; {host, ca} as well where the database is managed"
    "security-hub/deploy"             = "{deploy-toml, release-key, slack-url, registration-token}: what the deploy runner reads"
    "security-hub/redis"              = "{hub, admin, replica, probe}: passwords of the Redis users"
    "security-hub/monitoring"         = "{hub-metrics-key, pager-routing-key, chat-url, grafana-admin-password}"
  }
}

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:rotated by the hub's own procedure, which changes both ends; AWS' rotation needs a function in the path of the secret
  for_each                = local.secrets
  name                    = each.key
  description             = each.value
  kms_key_id              = aws_kms_key.this["secrets"].arn
  recovery_window_in_days = 30

  replica {
    region     = var.backup_region
    kms_key_id = aws_kms_replica_key.secrets.arn
  }
  tags = var.tags
}

# What holds for everybody, whatever IAM says: no other account, never without TLS.
resource "aws_secretsmanager_secret_policy" "this" {
  for_each            = local.secrets
  secret_arn          = aws_secretsmanager_secret.this[each.key].arn
  block_public_policy = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # wildcard: the resource of a secret's policy is that secret; a refusal is to be as wide as can be.
        Sid       = "OtherAccounts"
        Effect    = "Deny"
        Principal = "*"
        Action    = "secretsmanager:*"
        Resource  = "*"
        Condition = { StringNotEquals = { "aws:PrincipalAccount" = local.account }, Bool = { "aws:PrincipalIsAWSService" = "false" } }
      },
      {
        # wildcard: as above.
        Sid       = "WithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "secretsmanager:*"
        Resource  = "*"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
