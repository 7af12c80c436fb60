# Production: three of everything that votes, a NAT gateway in each zone, locks that nobody can take off. PostgreSQL and Redis
# run in the cluster (managed-data.tfvars: in the cloud instead).
# The account, the owner's names and the addresses are placeholders to be set once.
environment = "production"
account_id  = "000000000001"
owner       = "security-platform"
cost_centre = "security"

region        = "eu-central-1"
backup_region = "eu-west-1"
cidr          = "10.40.0.0/16"
zones         = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
nat_per_zone  = true
vpn_sites = {
  # Documentation addresses (RFC 5737): the first site's own.
  headquarters = { address = "192.0.2.10", networks = ["172.20.0.0/20"] }
}
dns_zone_id = "Z0000000000001"

kubernetes_version = "1.35"
node_pools = {
  system = { capacity = "on-demand", machines = ["m7i.large"], minimum = 3, maximum = 6 }
  hub    = { capacity = "on-demand", machines = ["m7i.xlarge"], minimum = 3, maximum = 12, disk_gib = 80 }
  # The database's three pods ask for four cores and 16 GiB each, and never share a machine or a zone.
  data  = { capacity = "on-demand", machines = ["m7i.2xlarge"], minimum = 3, maximum = 6, disk_gib = 80 }
  burst = { capacity = "spot", machines = ["m7i.xlarge", "m6i.xlarge", "m7a.xlarge", "m6a.xlarge"], minimum = 0, maximum = 12 }
}

admin_role_arns   = ["arn:aws:iam::000000000001:role/platform-admin"]
deploy_repository = "security-hub/security-hub"

log_retention_days     = 365
trail_retention_days   = 730
archive_lock_days      = 365
backup_retention_days  = 90
backup_lock_days       = 35
backup_lock_grace_days = 7
shield_advanced        = false
request_rate_limit     = 3000

alarm_emails           = ["oncall@example.org"]
monthly_budget_usd     = 6000
anomaly_threshold_usd  = 200
metrics_retention_days = 400
managed_grafana        = true
# Groups of IAM Identity Center; a placeholder.
grafana_groups = { ADMIN = ["00000000-0000-0000-0000-000000000001"] }
