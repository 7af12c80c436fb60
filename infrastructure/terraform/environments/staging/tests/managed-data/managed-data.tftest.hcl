# The whole environment, planned with managed-data.tfvars on top of its own terraform.tfvars.

mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

run "the_cloud_runs_the_databases" {
  command = plan

  assert {
    condition     = var.postgresql.multi_zone && var.postgresql.replicas >= 1 && var.redis.shards >= 2
    error_message = "The same parts as production."
  }
  assert {
    condition     = output.platform.postgresql != null && output.platform.redis != null
    error_message = "Where the databases are."
  }
}
