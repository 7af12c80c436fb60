mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

variables {
  name                   = "security-hub-test"
  backup_region          = "eu-west-1"
  trail_retention_days   = 365
  backup_retention_days  = 35
  backup_lock_grace_days = 7
  admin_role_arns        = ["arn:aws:iam::000000000001:role/platform-admin"]
}

run "keys" {
  command = plan

  assert {
    condition     = sort(keys(output.key_arns)) == tolist(["cluster", "data", "logs", "registry", "secrets", "trail"])
    error_message = "A key for each purpose."
  }
  assert {
    condition     = alltrue([for k in aws_kms_key.this : k.enable_key_rotation && k.deletion_window_in_days == 30])
    error_message = "Keys rotate, and a mistaken deletion can be taken back for a month."
  }
  assert {
    condition     = alltrue(flatten([for k in aws_kms_key.this : [for s in jsondecode(k.policy).Statement : !contains(flatten([s.Action]), "kms:*")]]))
    error_message = "No statement gives everything."
  }
  assert {
    condition     = alltrue(flatten([for k in aws_kms_key.this : [for s in jsondecode(k.policy).Statement : try(s.Principal.AWS, "") != "*"]]))
    error_message = "Nobody may use a key without a policy of his own that says so."
  }
  assert {
    condition = alltrue(flatten([for k in aws_kms_key.this : [for s in jsondecode(k.policy).Statement :
      length(setsubtract(["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"], s.Action)) == 0 if s.Sid == "Administrators"
    ]]))
    error_message = "Who administers a key gives it its name: the account hands that to nobody else."
  }
  assert {
    condition = alltrue(flatten([for k in aws_kms_key.this : [for s in jsondecode(k.policy).Statement :
      length(setsubtract(["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"], s.Action)) == 0 if s.Sid == "AccountMayRepairThePolicy"
    ]]))
    error_message = "A plan reads of a key what the provider asks for."
  }
  assert {
    condition     = [for s in jsondecode(aws_kms_key.this["cluster"].policy).Statement : join(" ", flatten([s.Principal.AWS])) if contains(s.Action, "kms:CreateGrant") && s.Sid == "ClusterIsMade" && !can(s.Condition)] == [join(" ", var.admin_role_arns)]
    error_message = "Who makes the cluster gives it the key; CreateCluster does not know kms:GrantIsForAWSResource."
  }
  assert {
    condition = alltrue(flatten([for k in aws_kms_key.this : [for s in jsondecode(k.policy).Statement : [for service in s.Condition.StringEquals["kms:ViaService"] :
      contains(s.Condition.StringEquals["kms:ViaService"], replace(service, "eu-central-1", "eu-west-1"))
    ] if s.Sid == "GrantsForServicesOnly"]]))
    error_message = "Copies in the other region are encrypted by grants there."
  }
}

run "secrets" {
  command = plan

  assert {
    condition = sort(keys(output.secret_arns)) == tolist([
      "security-hub/database/hub-app", "security-hub/database/hub-owner", "security-hub/deploy", "security-hub/key-ring", "security-hub/monitoring", "security-hub/redis",
    ])
    error_message = "The names that the Kubernetes overlays ask for."
  }
  assert {
    condition     = alltrue([for s in aws_secretsmanager_secret.this : one(s.replica).region == "eu-west-1"])
    error_message = "Each has a copy in the other region."
  }
}

run "trail" {
  command = plan

  assert {
    condition     = aws_s3_bucket.trail.object_lock_enabled && one(aws_s3_bucket_object_lock_configuration.trail.rule).default_retention[0].mode == "COMPLIANCE" && one(aws_s3_bucket_object_lock_configuration.trail.rule).default_retention[0].days == 365
    error_message = "Nobody deletes the trail before its time."
  }
  assert {
    condition     = aws_cloudtrail.this.is_multi_region_trail && aws_cloudtrail.this.enable_log_file_validation && aws_cloudtrail.this.kms_key_id == aws_kms_key.this["trail"].arn
    error_message = "All regions, validated, encrypted."
  }
}

run "a_short_trail" {
  command = plan
  variables {
    trail_retention_days = 30
  }
  assert {
    condition     = one(aws_s3_bucket_lifecycle_configuration.trail.rule).expiration[0].days > max([for t in one(aws_s3_bucket_lifecycle_configuration.trail.rule).transition : t.days]...)
    error_message = "S3 refuses a rule that deletes before it moves."
  }
}

run "firewall" {
  command = plan

  assert {
    condition     = contains([for r in aws_wafv2_web_acl.this.rule : r.name], "AWSManagedRulesKnownBadInputsRuleSet") && contains([for r in aws_wafv2_web_acl.this.rule : r.name], "rate")
    error_message = "Known bad inputs and floods are refused."
  }
  assert {
    condition     = length(distinct([for r in aws_wafv2_web_acl.this.rule : r.priority])) == length(aws_wafv2_web_acl.this.rule)
    error_message = "Each rule has a place of its own."
  }
  assert {
    condition     = sort([for f in aws_wafv2_web_acl_logging_configuration.this.redacted_fields : f.single_header[0].name]) == tolist(["authorization", "cookie"])
    error_message = "What signs somebody in is not logged."
  }
}

run "backups" {
  command = plan

  assert {
    condition     = aws_backup_vault.copy.region == "eu-west-1" && one(one(aws_backup_plan.this.rule).copy_action).destination_vault_arn == aws_backup_vault.copy.arn
    error_message = "Copies go to the other region."
  }
  assert {
    condition     = aws_backup_vault_lock_configuration.copy.changeable_for_days == 7
    error_message = "The lock is for ever after its days of grace."
  }
  assert {
    condition     = alltrue([for b in aws_s3_bucket_public_access_block.backup : b.block_public_acls && b.block_public_policy && b.ignore_public_acls && b.restrict_public_buckets])
    error_message = "Backups are not public."
  }
  assert {
    condition     = one(aws_s3_bucket_replication_configuration.backup.rule).delete_marker_replication[0].status == "Disabled"
    error_message = "A deletion here is none there."
  }
  assert {
    condition     = one(aws_s3_bucket_replication_configuration.backup.rule).destination[0].metrics[0].status == "Enabled"
    error_message = "A copy that fails is told."
  }
}

run "registry" {
  command = plan

  assert {
    condition     = alltrue([for r in aws_ecr_repository.hub : r.image_tag_mutability == "IMMUTABLE" && r.image_scanning_configuration[0].scan_on_push])
    error_message = "Tags stay what they are; what is pushed is scanned."
  }
  assert {
    condition     = aws_ecr_registry_scanning_configuration.this[0].scan_type == "ENHANCED"
    error_message = "And scanned again."
  }
}

run "detection" {
  command = plan

  assert {
    condition     = aws_guardduty_detector.this[0].enable && length(aws_guardduty_detector_feature.this) == 5 && aws_guardduty_detector_feature.runtime[0].status == "ENABLED"
    error_message = "GuardDuty with all that the hub's parts can be watched by."
  }
  assert {
    condition     = aws_config_configuration_recorder_status.this[0].is_enabled && length(aws_securityhub_standards_subscription.this) == 2
    error_message = "Config records; two standards are checked."
  }
}

run "once_in_an_account" {
  command = plan
  variables {
    account_services = false
  }
  assert {
    condition     = length(aws_guardduty_detector.this) + length(aws_securityhub_account.this) + length(aws_config_configuration_recorder.this) + length(aws_guardduty_detector_feature.this) == 0
    error_message = "What the account has already is left to whoever made it."
  }
}

run "shield_costs_only_when_asked_for" {
  command = plan
  variables {
    shield_resource_arns = { balancer = "arn:aws:elasticloadbalancing:eu-central-1:000000000001:loadbalancer/app/hub/0" }
  }
  assert {
    condition     = length(aws_shield_subscription.this) == 0 && length(aws_shield_protection.this) == 0
    error_message = "Not without shield_advanced."
  }
}

run "shield_protects_what_is_named" {
  command = plan
  variables {
    shield_advanced      = true
    shield_resource_arns = { balancer = "arn:aws:elasticloadbalancing:eu-central-1:000000000001:loadbalancer/app/hub/0" }
  }
  assert {
    condition     = length(aws_shield_subscription.this) == 1 && { for name, p in aws_shield_protection.this : name => p.resource_arn } == { for name, arn in var.shield_resource_arns : name => arn }
    error_message = "One subscription, and what is named under it."
  }
}

run "countries_are_refused_after_the_rate" {
  command = plan
  variables {
    denied_countries = ["AA", "ZZ"]
  }
  assert {
    condition     = [for r in aws_wafv2_web_acl.this.rule : [r.priority, length(r.action[0].block), toset(r.statement[0].geo_match_statement[0].country_codes)] if r.name == "countries"] == [[2, 1, toset(["AA", "ZZ"])]]
    error_message = "They are blocked."
  }
  assert {
    condition     = length(distinct([for r in aws_wafv2_web_acl.this.rule : r.priority])) == length(aws_wafv2_web_acl.this.rule)
    error_message = "AWS takes each priority once."
  }
}

run "a_country_is_two_letters" {
  command = plan
  variables {
    denied_countries = ["Atlantis"]
  }
  expect_failures = [var.denied_countries]
}

run "administrators_are_roles" {
  command = plan
  variables {
    admin_role_arns = ["*"]
  }
  expect_failures = [var.admin_role_arns]
}

run "a_lock_needs_days_of_grace" {
  command = plan
  variables {
    backup_lock_grace_days = 1
  }
  expect_failures = [var.backup_lock_grace_days]
}
