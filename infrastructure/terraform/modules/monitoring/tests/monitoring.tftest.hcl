mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

variables {
  name               = "security-hub-test"
  network_id         = "vpc-mocked"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
  cluster_name       = "security-hub-test"
  log_key_arn        = "arn:aws:kms:eu-central-1:000000000001:key/logs"
  trail_log_group    = "/security-hub-test/trail"
  backup_bucket      = "security-hub-test-backups"
  alarm_targets = {
    postgresql_primary  = ["test-primary"]
    postgresql_replicas = ["test-replica-1"]
    redis               = ["test-0001-001"]
    storage_gib         = 100
  }
  alarm_emails          = ["oncall@example.org"]
  monthly_budget_usd    = 1000
  anomaly_threshold_usd = 100
  archive_lock_days     = 365
  managed_grafana       = true
  grafana_groups        = { ADMIN = ["00000000-0000-0000-0000-000000000001"] }
}

run "logs_are_locked" {
  command = plan

  assert {
    condition     = aws_s3_bucket.logs["archive"].object_lock_enabled && aws_s3_bucket_object_lock_configuration.archive.rule[0].default_retention[0].mode == "COMPLIANCE" && aws_s3_bucket_object_lock_configuration.archive.rule[0].default_retention[0].days == 365
    error_message = "Nobody deletes logs before their time."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.logs["archive"].rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" && one(aws_s3_bucket_server_side_encryption_configuration.logs["archive"].rule).apply_server_side_encryption_by_default[0].kms_master_key_id == var.log_key_arn
    error_message = "Encrypted with our key."
  }
  assert {
    condition     = alltrue([for c in aws_s3_bucket_lifecycle_configuration.logs : one(c.rule).expiration[0].days == 395])
    error_message = "And deleted only after the lock."
  }
}

run "metrics" {
  command = plan

  assert {
    condition     = jsondecode(aws_iam_role_policy.prometheus.policy).Statement[0].Action == ["aps:RemoteWrite"] && aws_eks_pod_identity_association.prometheus.service_account == "prometheus"
    error_message = "Prometheus writes, and does nothing else."
  }
  assert {
    condition     = aws_grafana_workspace.this["this"].authentication_providers == tolist(["AWS_SSO"])
    error_message = "Signed in to through the organisation."
  }
  assert {
    condition     = { for role, a in aws_grafana_role_association.this : role => a.group_ids } == { ADMIN = toset(["00000000-0000-0000-0000-000000000001"]) }
    error_message = "Somebody may do something in it."
  }
}

run "alarms" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.watched) == 8 && length(aws_cloudwatch_metric_alarm.resource) == 6
    error_message = "Eight kinds of calls; two figures of each database, a replica's lag, Redis' memory."
  }
  assert {
    condition     = alltrue([for a in aws_cloudwatch_metric_alarm.watched : a.alarm_actions == toset([aws_sns_topic.alarms.arn])])
    error_message = "Somebody hears of each."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.resource["test-primary-storage"].threshold == 10737418240
    error_message = "A tenth of 100 GiB."
  }
  assert {
    condition     = aws_s3_bucket_notification.backup.bucket == "security-hub-test-backups" && one(aws_s3_bucket_notification.backup.topic).events == toset(["s3:Replication:OperationFailedReplication"]) && contains(jsondecode(aws_sns_topic_policy.alarms.policy).Statement[0].Principal.Service, "s3.amazonaws.com")
    error_message = "A backup that is not copied is told."
  }
}

run "costs" {
  command = plan

  assert {
    condition     = aws_budgets_budget.month.limit_amount == "1000" && length(aws_budgets_budget.month.notification) == 4 && one(aws_budgets_budget.month.cost_filter).values == tolist(["user:hub-environment$security-hub-test"])
    error_message = "A budget by tag, told at four points."
  }
  assert {
    condition     = length(aws_ce_anomaly_subscription.alarms) == 1
    error_message = "What nobody expected is told at once."
  }
}

run "without_what_costs_extra" {
  command = plan
  variables {
    managed_grafana  = false
    account_services = false
  }
  assert {
    condition     = output.dashboards_url == null && length(aws_ce_anomaly_monitor.services) == 0
    error_message = "The cluster's own Grafana; the alarms that the account has already."
  }
}

run "a_grafana_that_nobody_administers_is_refused" {
  command = plan
  variables {
    grafana_groups = { VIEWER = ["00000000-0000-0000-0000-000000000001"] }
  }
  expect_failures = [var.grafana_groups]
}

run "alarms_that_nobody_hears_are_refused" {
  command = plan
  variables {
    alarm_emails = []
  }
  expect_failures = [var.alarm_emails]
}
