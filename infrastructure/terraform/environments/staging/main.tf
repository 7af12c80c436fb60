# One environment of the hub. This file, variables.tf, outputs.tf and versions.tf are the same in all environments, to
# the byte (`scripts/verify/terraform.sh` compares them); what differs is in terraform.tfvars and backend.tf.

locals {
  name = "security-hub-${var.environment}"
  tags = {
    # Costs are told apart by these; turn them on as cost allocation tags in the billing console once.
    hub-environment = local.name
    hub-owner       = var.owner
    hub-cost-centre = var.cost_centre
    managed-by      = "terraform"
  }
}

module "security" {
  source = "../../modules/security"

  name                   = local.name
  backup_region          = var.backup_region
  log_retention_days     = var.log_retention_days
  trail_retention_days   = var.trail_retention_days
  backup_retention_days  = var.backup_retention_days
  backup_lock_days       = var.backup_lock_days
  backup_lock_grace_days = var.backup_lock_grace_days
  shield_advanced        = var.shield_advanced
  shield_resource_arns   = var.shield_resource_arns
  account_services       = var.account_services
  request_rate_limit     = var.request_rate_limit
  denied_countries       = var.denied_countries
  admin_role_arns        = var.admin_role_arns
}

module "networking" {
  source = "../../modules/networking"

  name               = local.name
  cidr               = var.cidr
  region             = var.region
  zones              = var.zones
  nat_per_zone       = var.nat_per_zone
  vpn_sites          = var.vpn_sites
  log_key_arn        = module.security.key_arns["logs"]
  log_retention_days = var.log_retention_days
}

module "kubernetes" {
  source = "../../modules/kubernetes"

  name                = local.name
  tags                = local.tags
  kubernetes_version  = var.kubernetes_version
  network_id          = module.networking.network_id
  private_subnet_ids  = module.networking.private_subnet_ids
  operator_networks   = flatten([for site in values(var.vpn_sites) : site.networks])
  service_cidr        = var.service_cidr
  node_pools          = var.node_pools
  key_arns            = module.security.key_arns
  secret_arns         = module.security.secret_arns
  registry_arns       = module.security.registry_arns
  backup_bucket_arn   = module.security.backup_bucket_arn
  firewall_arn        = module.security.firewall_arn
  dns_zone_id         = var.dns_zone_id
  log_retention_days  = var.log_retention_days
  deletion_protection = var.deletion_protection
  admin_role_arns     = var.admin_role_arns
  deploy_repository   = var.deploy_repository
  deploy_environment  = var.environment
  deploy_provider_arn = var.deploy_provider_arn
  # A plan asks the managed Redis' password of Secrets Manager (modules/databases/redis.tf).
  plan_secret_arns = var.redis == null ? [] : [module.security.secret_arns["security-hub/redis"]]
}

module "databases" {
  source = "../../modules/databases"

  name                = local.name
  network_id          = module.networking.network_id
  intra_subnet_ids    = module.networking.intra_subnet_ids
  client_group_id     = module.kubernetes.node_group_id
  key_arns            = module.security.key_arns
  secret_arns         = module.security.secret_arns
  backup_tag          = module.security.backup_tag
  backup_region       = var.backup_region
  backup_copy_key_arn = module.security.backup_copy_key_arn
  log_retention_days  = var.log_retention_days
  postgresql          = var.postgresql
  redis               = var.redis
}

module "monitoring" {
  source = "../../modules/monitoring"

  name                   = local.name
  network_id             = module.networking.network_id
  private_subnet_ids     = module.networking.private_subnet_ids
  cluster_name           = module.kubernetes.cluster_name
  log_key_arn            = module.security.key_arns["logs"]
  trail_log_group        = module.security.trail_log_group
  backup_bucket          = module.security.backup_bucket
  alarm_targets          = module.databases.alarm_targets
  alarm_emails           = var.alarm_emails
  monthly_budget_usd     = var.monthly_budget_usd
  anomaly_threshold_usd  = var.anomaly_threshold_usd
  log_retention_days     = var.log_retention_days
  metrics_retention_days = var.metrics_retention_days
  archive_lock_days      = var.archive_lock_days
  managed_grafana        = var.managed_grafana
  grafana_groups         = var.grafana_groups
  account_services       = var.account_services
}
