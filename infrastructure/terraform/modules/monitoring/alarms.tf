# What wakes somebody from outside the cluster. What the hub itself measures is alarmed by the overlays' Prometheus.

resource "aws_kms_key" "alarms" {
  description             = "${var.name}: messages of alarms"
  enable_key_rotation     = true
  rotation_period_in_days = 180
  deletion_window_in_days = 30
  # wildcard: in the policy of a key, the resource "*" is that key and nothing else.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Administration"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${local.account}:root" }
        Action = [
          "kms:CancelKeyDeletion", "kms:DescribeKey", "kms:DisableKey", "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy",
          "kms:GetKeyRotationStatus", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource",
          "kms:UntagResource", "kms:UpdateKeyDescription",
        ]
        Resource = "*"
      },
      {
        Sid       = "ServicesThatSend"
        Effect    = "Allow"
        Principal = { Service = local.senders }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
  tags = merge(var.tags, { Name = "${var.name}-alarms" })
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = aws_kms_key.alarms.arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = local.senders }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each  = toset(var.alarm_emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

locals {
  senders = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com", "events.amazonaws.com", "s3.amazonaws.com"]

  # Calls that nobody makes on a quiet day.
  watched = {
    root-used       = "{ $.userIdentity.type = \"Root\" && $.userIdentity.invokedBy NOT EXISTS && $.eventType != \"AwsServiceEvent\" }"
    sign-in-no-mfa  = "{ ($.eventName = \"ConsoleLogin\") && ($.additionalEventData.MFAUsed != \"Yes\") && ($.responseElements.ConsoleLogin = \"Success\") && ($.userIdentity.type = \"IAMUser\") }"
    trail-changed   = "{ ($.eventName = StopLogging) || ($.eventName = DeleteTrail) || ($.eventName = UpdateTrail) || ($.eventName = PutEventSelectors) }"
    key-deleted     = "{ ($.eventSource = kms.amazonaws.com) && (($.eventName = DisableKey) || ($.eventName = ScheduleKeyDeletion) || ($.eventName = PutKeyPolicy)) }"
    backups-changed = "{ ($.eventSource = backup.amazonaws.com) && (($.eventName = DeleteBackupVault*) || ($.eventName = DeleteRecoveryPoint) || ($.eventName = DeleteBackupPlan)) }"
    detection-off   = "{ ($.eventName = DeleteDetector) || ($.eventName = DisableSecurityHub) || ($.eventName = StopConfigurationRecorder) || ($.eventName = DeleteConfigurationRecorder) }"
    network-changed = "{ ($.eventName = CreateNetworkAclEntry) || ($.eventName = ReplaceNetworkAclEntry) || ($.eventName = CreateRoute) || ($.eventName = ReplaceRoute) || ($.eventName = AttachInternetGateway) }"
    access-denied   = "{ ($.errorCode = \"*UnauthorizedOperation\") || ($.errorCode = \"AccessDenied*\") }"
  }

  postgresql = concat(var.alarm_targets.postgresql_primary, var.alarm_targets.postgresql_replicas)
  resources = merge(
    { for i in local.postgresql : "${i}-cpu" => {
      namespace = "AWS/RDS", metric = "CPUUtilization", dimension = { DBInstanceIdentifier = i }, above = true, threshold = 85
      statistic = "Average", minutes = 15, means = "PostgreSQL is busy"
    } },
    { for i in local.postgresql : "${i}-storage" => {
      namespace = "AWS/RDS", metric = "FreeStorageSpace", dimension = { DBInstanceIdentifier = i }, above = false
      threshold = var.alarm_targets.storage_gib * 1073741824 / 10, statistic = "Minimum", minutes = 15, means = "less than a tenth of its disk is free"
    } },
    { for i in var.alarm_targets.postgresql_replicas : "${i}-lag" => {
      namespace = "AWS/RDS", metric = "ReplicaLag", dimension = { DBInstanceIdentifier = i }, above = true, threshold = 60
      statistic = "Maximum", minutes = 10, means = "a read replica is more than a minute behind"
    } },
    { for g in var.alarm_targets.redis : "${g}-memory" => {
      namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimension = { CacheClusterId = g }, above = true
      threshold = 80, statistic = "Maximum", minutes = 15, means = "Redis' memory is nearly full"
    } },
  )
}

resource "aws_cloudwatch_log_metric_filter" "watched" {
  for_each       = local.watched
  name           = "${var.name}-${each.key}"
  log_group_name = var.trail_log_group
  pattern        = each.value
  metric_transformation {
    name          = each.key
    namespace     = "${var.name}/trail"
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "watched" {
  for_each            = local.watched
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "The audit trail shows: ${each.key}. Ask who did it and why."
  namespace           = "${var.name}/trail"
  metric_name         = each.key
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  # Single refusals are everyday; a burst is somebody trying doors.
  threshold          = each.key == "access-denied" ? 50 : 1
  treat_missing_data = "notBreaching"
  alarm_actions      = [aws_sns_topic.alarms.arn]
  tags               = var.tags
}

resource "aws_cloudwatch_metric_alarm" "resource" {
  for_each            = local.resources
  alarm_name          = each.key
  alarm_description   = "${each.key}: ${each.value.means}."
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimension
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = each.value.minutes
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  # No figures from a database are bad figures.
  treat_missing_data = "breaching"
  alarm_actions      = [aws_sns_topic.alarms.arn]
  ok_actions         = [aws_sns_topic.alarms.arn]
  tags               = var.tags
}

# GuardDuty's findings of medium severity and above.
resource "aws_cloudwatch_event_rule" "findings" {
  count       = var.account_services ? 1 : 0
  name        = "${var.name}-findings"
  description = "GuardDuty findings, medium and above"
  event_pattern = jsonencode({
    source      = ["aws.guardduty"]
    detail-type = ["GuardDuty Finding"]
    detail      = { severity = [{ numeric = [">=", 4] }] }
  })
  tags = var.tags
}

resource "aws_cloudwatch_event_target" "findings" {
  count = var.account_services ? 1 : 0
  rule  = aws_cloudwatch_event_rule.findings[0].name
  arn   = aws_sns_topic.alarms.arn
}

# A backup of which there is no copy in the other region: one message for each object.
resource "aws_s3_bucket_notification" "backup" {
  bucket = var.backup_bucket
  topic {
    topic_arn = aws_sns_topic.alarms.arn
    events    = ["s3:Replication:OperationFailedReplication"]
  }

  depends_on = [aws_sns_topic_policy.alarms]
}
