# GuardDuty, AWS Security Hub, Config: once in an account and region.

locals {
  once = var.account_services ? 1 : 0
  guardduty_features = toset([
    "S3_DATA_EVENTS", "EKS_AUDIT_LOGS", "EBS_MALWARE_PROTECTION", "RDS_LOGIN_EVENTS", "LAMBDA_NETWORK_LOGS",
  ])
  standards = toset([
    "standards/aws-foundational-security-best-practices/v/1.0.0", "standards/cis-aws-foundations-benchmark/v/3.0.0",
  ])
}

resource "aws_guardduty_detector" "this" {
  #checkov:skip=CKV2_AWS_3:for the account; an organisation's administrator turns on all regions in the organisation's own configuration
  count                        = local.once
  enable                       = true
  finding_publishing_frequency = "FIFTEEN_MINUTES"
  tags                         = var.tags
}

resource "aws_guardduty_detector_feature" "this" {
  for_each    = var.account_services ? local.guardduty_features : toset([])
  detector_id = aws_guardduty_detector.this[0].id
  name        = each.key
  status      = "ENABLED"
}

resource "aws_guardduty_detector_feature" "runtime" {
  count       = local.once
  detector_id = aws_guardduty_detector.this[0].id
  name        = "RUNTIME_MONITORING"
  status      = "ENABLED"
  additional_configuration {
    name   = "EKS_ADDON_MANAGEMENT"
    status = "ENABLED"
  }
}

resource "aws_securityhub_account" "this" {
  count                     = local.once
  enable_default_standards  = false
  control_finding_generator = "SECURITY_CONTROL"
  auto_enable_controls      = true
}

resource "aws_securityhub_standards_subscription" "this" {
  for_each      = var.account_services ? local.standards : toset([])
  standards_arn = "arn:aws:securityhub:${local.region}::${each.key}"

  depends_on = [aws_securityhub_account.this]
}

resource "aws_iam_service_linked_role" "config" {
  count            = local.once
  aws_service_name = "config.amazonaws.com"
}

resource "aws_config_configuration_recorder" "this" {
  count    = local.once
  name     = var.name
  role_arn = aws_iam_service_linked_role.config[0].arn
  recording_group {
    all_supported                 = true
    include_global_resource_types = true
  }
}

resource "aws_config_delivery_channel" "this" {
  count          = local.once
  name           = var.name
  s3_bucket_name = aws_s3_bucket.config[0].id
  s3_kms_key_arn = aws_kms_key.this["trail"].arn

  depends_on = [aws_config_configuration_recorder.this, aws_s3_bucket_policy.config]
}

resource "aws_config_configuration_recorder_status" "this" {
  count      = local.once
  name       = aws_config_configuration_recorder.this[0].name
  is_enabled = true

  depends_on = [aws_config_delivery_channel.this]
}

# What would see to it that this account grants nothing to the outside unnoticed.
resource "aws_accessanalyzer_analyzer" "this" {
  count         = local.once
  analyzer_name = var.name
  type          = "ACCOUNT"
  tags          = var.tags
}
