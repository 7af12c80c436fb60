# The whole environment, planned with its own terraform.tfvars.

mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

run "production_in_small" {
  command = plan

  assert {
    condition     = var.postgresql == null && var.redis == null && var.node_pools["system"].minimum >= 3
    error_message = "The same parts as production, so that what breaks there breaks here first."
  }
  assert {
    condition     = output.overlay.trusted_proxies == "10.41.0.0/16" && output.platform.postgresql == null && output.platform.redis == null
    error_message = "Its own network, databases in the cluster."
  }
  assert {
    condition     = output.people.dashboards == null && length(output.people.egress_addresses) == 1
    error_message = "Without what costs extra."
  }
}
