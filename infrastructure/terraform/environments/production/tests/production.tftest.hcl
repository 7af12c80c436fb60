# The whole environment, planned with its own terraform.tfvars.

mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

run "sized_for_production" {
  command = plan

  assert {
    condition     = var.nat_per_zone
    error_message = "It survives the loss of a zone."
  }
  assert {
    condition     = anytrue([for p in var.node_pools : p.capacity == "on-demand" && p.minimum >= 3]) && anytrue([for p in var.node_pools : p.capacity == "spot"])
    error_message = "A node in each zone on demand, and spot for the rest."
  }
  assert {
    condition     = var.postgresql == null && var.redis == null && var.node_pools["data"].minimum >= 3 && var.node_pools["data"].capacity == "on-demand"
    error_message = "The cluster runs PostgreSQL and Redis, on three machines that nobody takes away."
  }
}

run "kept_for_production" {
  command = plan

  assert {
    condition     = var.log_retention_days >= 365 && var.trail_retention_days >= 365 && var.archive_lock_days >= 365 && var.backup_lock_grace_days > 0
    error_message = "A year of logs, locked; backups locked for ever."
  }
}

run "what_the_overlay_gets" {
  command = plan

  assert {
    condition     = output.overlay.trusted_proxies == "10.40.0.0/16" && output.overlay.backup_path == "${module.security.backup_url}/database" && startswith(output.overlay.backup_path, "s3://")
    error_message = "The overlay's values are there."
  }
  assert {
    condition     = alltrue([for value in values(output.overlay) : can(tostring(value)) && value != null])
    error_message = "Each is a string: place.yaml holds nothing else."
  }
  assert {
    condition     = output.overlay.data_networks == "10.40.224.0/21,10.40.232.0/21,10.40.240.0/21"
    error_message = "The databases' subnets, one in each zone."
  }
  assert {
    condition     = can(regex("api/v1/remote_write$", output.overlay.remote_write_url)) && output.people.dashboards != null
    error_message = "Where metrics go, where they are seen."
  }
}

run "a_site_at_the_services_addresses_is_refused" {
  command = plan
  variables {
    vpn_sites = { elsewhere = { address = "192.0.2.10", networks = ["10.100.128.0/20"] } }
  }
  expect_failures = [var.service_cidr]
}

run "one_zone_is_refused" {
  command = plan
  variables {
    nat_per_zone = false
  }
  expect_failures = [var.nat_per_zone]
}

run "no_way_in_is_refused" {
  command = plan
  variables {
    vpn_sites = {}
  }
  expect_failures = [var.vpn_sites]
}

run "a_database_in_one_zone_is_refused" {
  command = plan
  variables {
    postgresql = { release = "17.6", machine = "db.r7g.large", replicas = 1, multi_zone = false, storage_gib = 100, storage_max_gib = 200, backup_days = 35 }
  }
  expect_failures = [var.postgresql]
}

run "deletable_is_refused" {
  command = plan
  variables {
    deletion_protection = false
  }
  expect_failures = [var.deletion_protection]
}

run "backups_in_the_same_region_are_refused" {
  command = plan
  variables {
    backup_region = "eu-central-1"
  }
  expect_failures = [var.backup_region]
}
