# PostgreSQL and Redis run by the cloud. Terraform reads this file only when asked; to change over for good it becomes
# managed-data.auto.tfvars, together with the overlay's component (infrastructure/kubernetes/components/managed-data): the check
# refuses one without the other. `make verify-terraform` plans it with tests/managed-data.
postgresql = {
  release         = "17.6"
  machine         = "db.t4g.large"
  replicas        = 1
  multi_zone      = true
  storage_gib     = 100
  storage_max_gib = 500
  backup_days     = 14
}
redis = {
  release            = "7.1"
  machine            = "cache.t4g.small"
  shards             = 2
  replicas_per_shard = 1
  snapshot_days      = 1
}
