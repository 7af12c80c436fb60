# The whole environment, planned with its own terraform.tfvars.

mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

run "the_least" {
  command = plan

  assert {
    condition     = output.platform.postgresql == null && output.platform.redis == null
    error_message = "The cluster runs PostgreSQL and Redis."
  }
  assert {
    condition     = output.overlay.trusted_proxies == "10.42.0.0/18" && length(output.people.egress_addresses) == 1
    error_message = "Its own network, one way out."
  }
  assert {
    condition     = sum([for p in var.node_pools : p.maximum]) <= 10
    error_message = "Not a second production."
  }
}
