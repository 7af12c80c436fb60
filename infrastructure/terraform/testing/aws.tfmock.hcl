# What the mocked provider answers where an invented string or an empty list would not do.

mock_data "aws_region" {
  override_during = plan
  defaults = {
    region = "eu-central-1"
  }
}

mock_data "aws_caller_identity" {
  override_during = plan
  defaults = {
    account_id = "000000000001"
  }
}

mock_data "aws_secretsmanager_secret_version" {
  override_during = plan
  defaults = {
    secret_string = "{\"hub\": \"from the mocked provider\"}"
  }
}

mock_resource "aws_eks_cluster" {
  override_during = plan
  defaults = {
    arn                   = "arn:aws:eks:eu-central-1:000000000001:cluster/mocked"
    certificate_authority = [{ data = "bW9ja2Vk" }]
    identity              = [{ oidc = [{ issuer = "https://oidc.example.org/id/MOCKED" }] }]
  }
}

mock_resource "aws_db_instance" {
  override_during = plan
  defaults = {
    arn                = "arn:aws:rds:eu-central-1:000000000001:db:mocked"
    address            = "database.example.org"
    master_user_secret = [{ kms_key_id = "mocked", secret_arn = "arn:aws:secretsmanager:eu-central-1:000000000001:secret:mocked", secret_status = "active" }]
  }
}

# Of the rest, an invented value is enough, but already when planning.
mock_resource "aws_backup_plan" {
  override_during = plan
}
mock_resource "aws_backup_vault" {
  override_during = plan
}
mock_resource "aws_ce_anomaly_monitor" {
  override_during = plan
}
mock_resource "aws_cloudwatch_event_rule" {
  override_during = plan
}
mock_resource "aws_cloudwatch_log_group" {
  override_during = plan
}
mock_resource "aws_customer_gateway" {
  override_during = plan
}
mock_resource "aws_ec2_tag" {
  override_during = plan
}
mock_resource "aws_ecr_repository" {
  override_during = plan
}
mock_resource "aws_eip" {
  override_during = plan
}
mock_resource "aws_elasticache_replication_group" {
  override_during = plan
}
mock_resource "aws_elasticache_user" {
  override_during = plan
}
mock_resource "aws_elasticache_user_group" {
  override_during = plan
}
mock_resource "aws_grafana_workspace" {
  override_during = plan
}
mock_resource "aws_guardduty_detector" {
  override_during = plan
}
mock_resource "aws_iam_instance_profile" {
  override_during = plan
}
mock_resource "aws_iam_openid_connect_provider" {
  override_during = plan
}
mock_resource "aws_iam_role" {
  override_during = plan
}
mock_resource "aws_iam_service_linked_role" {
  override_during = plan
}
mock_resource "aws_internet_gateway" {
  override_during = plan
}
mock_resource "aws_kinesis_firehose_delivery_stream" {
  override_during = plan
}
mock_resource "aws_kms_key" {
  override_during = plan
}
mock_resource "aws_kms_replica_key" {
  override_during = plan
}
mock_resource "aws_launch_template" {
  override_during = plan
}
mock_resource "aws_network_acl" {
  override_during = plan
}
mock_resource "aws_prometheus_workspace" {
  override_during = plan
}
mock_resource "aws_route_table" {
  override_during = plan
}
mock_resource "aws_s3_bucket" {
  override_during = plan
}
mock_resource "aws_secretsmanager_secret" {
  override_during = plan
}
mock_resource "aws_security_group" {
  override_during = plan
}
mock_resource "aws_sns_topic" {
  override_during = plan
}
mock_resource "aws_sqs_queue" {
  override_during = plan
}
mock_resource "aws_subnet" {
  override_during = plan
}
mock_resource "aws_vpc" {
  override_during = plan
}
mock_resource "aws_vpn_connection" {
  override_during = plan
}
mock_resource "aws_vpn_gateway" {
  override_during = plan
}
mock_resource "aws_wafv2_web_acl" {
  override_during = plan
}
