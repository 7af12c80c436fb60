# Development: the least that still is three zones. PostgreSQL and Redis run in the cluster.
# The account, the owner's names and the addresses are placeholders to be set once.
environment = "development"
account_id  = "000000000003"
owner       = "security-platform"
cost_centre = "security"

region        = "eu-central-1"
backup_region = "eu-west-1"
cidr          = "10.42.0.0/18"
zones         = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
nat_per_zone  = false
vpn_sites = {
  # Documentation addresses (RFC 5737): the first site's own.
  headquarters = { address = "192.0.2.10", networks = ["172.20.0.0/20"] }
}
dns_zone_id = "Z0000000000001"

kubernetes_version = "1.35"
node_pools = {
  system = { capacity = "on-demand", machines = ["t3a.large"], minimum = 2, maximum = 3 }
  burst  = { capacity = "spot", machines = ["t3a.large", "t3.large", "m6a.large"], minimum = 1, maximum = 4 }
}

admin_role_arns     = ["arn:aws:iam::000000000003:role/platform-admin"]
deploy_repository   = "security-hub/security-hub"
deletion_protection = false

log_retention_days     = 30
trail_retention_days   = 30
archive_lock_days      = 1
backup_retention_days  = 7
backup_lock_days       = 1
backup_lock_grace_days = 0
request_rate_limit     = 10000

alarm_emails           = ["platform@example.org"]
monthly_budget_usd     = 700
anomaly_threshold_usd  = 50
metrics_retention_days = 30
managed_grafana        = false
