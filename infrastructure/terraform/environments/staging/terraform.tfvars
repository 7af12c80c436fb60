# Staging: production's shape, databases in the cluster as well, with smaller machines, so that what breaks there breaks here first.
# The account, the owner's names and the addresses are placeholders to be set once.
environment = "staging"
account_id  = "000000000002"
owner       = "security-platform"
cost_centre = "security"

region        = "eu-central-1"
backup_region = "eu-west-1"
cidr          = "10.41.0.0/16"
zones         = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
nat_per_zone  = false
vpn_sites = {
  # Documentation addresses (RFC 5737): the first site's own.
  headquarters = { address = "192.0.2.10", networks = ["172.20.0.0/20"] }
}
dns_zone_id = "Z0000000000001"

kubernetes_version = "1.35"
node_pools = {
  system = { capacity = "on-demand", machines = ["m7i.large"], minimum = 3, maximum = 5 }
  burst  = { capacity = "spot", machines = ["m7i.large", "m6i.large", "m7a.large", "m6a.large"], minimum = 1, maximum = 8 }
}

admin_role_arns   = ["arn:aws:iam::000000000002:role/platform-admin"]
deploy_repository = "security-hub/security-hub"

log_retention_days     = 90
trail_retention_days   = 90
archive_lock_days      = 30
backup_retention_days  = 30
backup_lock_days       = 7
backup_lock_grace_days = 0
request_rate_limit     = 3000

alarm_emails           = ["oncall@example.org"]
monthly_budget_usd     = 1800
anomaly_threshold_usd  = 100
metrics_retention_days = 90
managed_grafana        = false
