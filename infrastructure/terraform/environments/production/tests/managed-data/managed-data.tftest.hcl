# The whole environment, planned with managed-data.tfvars on top of its own terraform.tfvars.

mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

run "the_cloud_runs_the_databases" {
  command = plan

  assert {
    condition     = var.postgresql.multi_zone && var.postgresql.replicas >= 1 && var.postgresql.backup_days == 35 && try(var.postgresql.deletion_protection, true)
    error_message = "Two zones, a replica, recovery to any second of five weeks."
  }
  assert {
    condition     = var.redis.shards >= 3 && var.redis.replicas_per_shard >= 1
    error_message = "Redis votes with three."
  }
  assert {
    condition     = output.platform.postgresql.port == 5432 && length(output.platform.postgresql.read_hosts) == 2 && output.platform.redis.port == 6379
    error_message = "Where the databases are."
  }
}
