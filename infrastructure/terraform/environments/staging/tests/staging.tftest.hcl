# The whole environment, planned with its own terraform.tfvars.

mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

run "production_in_small" {
  command = plan

  assert {
    condition     = var.postgresql.multi_zone && var.postgresql.replicas >= 1 && var.redis.shards >= 2
    error_message = "The same parts as production, so that what breaks there breaks here first."
  }
  assert {
    condition     = output.overlay.trusted_proxies == "10.41.0.0/16" && output.overlay.postgresql != null && output.overlay.redis != null
    error_message = "Its own network, managed databases."
  }
  assert {
    condition     = output.people.dashboards == null && length(output.people.egress_addresses) == 1
    error_message = "Without what costs extra."
  }
}
