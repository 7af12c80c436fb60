# PostgreSQL and Redis run by the cloud. Terraform reads this file only when asked; to change over for good it becomes
# managed-data.auto.tfvars, together with the overlay's component (infrastructure/kubernetes/components/managed-data): the check
# refuses one without the other. `make verify-terraform` plans it with tests/managed-data.
postgresql = {
  release         = "17.6"
  machine         = "db.r7g.xlarge"
  replica_machine = "db.r7g.large"
  replicas        = 2
  multi_zone      = true
  storage_gib     = 500
  storage_max_gib = 4000
  backup_days     = 35
}
redis = {
  release            = "7.1"
  machine            = "cache.r7g.large"
  shards             = 3
  replicas_per_shard = 1
  snapshot_days      = 7
}
