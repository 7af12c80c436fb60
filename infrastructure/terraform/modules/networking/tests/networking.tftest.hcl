mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

variables {
  name         = "security-hub-test"
  cidr         = "10.50.0.0/16"
  region       = "eu-central-1"
  zones        = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  nat_per_zone = true
  log_key_arn  = "arn:aws:kms:eu-central-1:000000000001:key/mocked"
}

run "three_tiers_over_three_zones" {
  command = plan

  assert {
    condition     = length(aws_subnet.public) == 3 && length(aws_subnet.private) == 3 && length(aws_subnet.intra) == 3
    error_message = "Each tier has a subnet in each zone."
  }
  assert {
    condition = join(" ", sort(concat(values(aws_subnet.public)[*].cidr_block, values(aws_subnet.private)[*].cidr_block, values(aws_subnet.intra)[*].cidr_block))) == join(" ", sort([
      "10.50.0.0/18", "10.50.64.0/18", "10.50.128.0/18",
      "10.50.192.0/21", "10.50.200.0/21", "10.50.208.0/21",
      "10.50.224.0/21", "10.50.232.0/21", "10.50.240.0/21",
    ]))
    error_message = "The tiers' addresses do not overlap."
  }
  assert {
    condition     = alltrue([for s in aws_subnet.public : !s.map_public_ip_on_launch])
    error_message = "Nobody gets a public address by standing somewhere."
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "A NAT gateway in each zone."
  }
}

run "databases_have_no_way_out" {
  command = plan

  assert {
    condition     = length([for r in aws_route.nat : r if r.route_table_id == aws_route_table.intra.id]) == 0 && aws_route.internet.route_table_id != aws_route_table.intra.id
    error_message = "The intra tier has no route to the internet."
  }
  assert {
    condition     = alltrue([for k, r in aws_network_acl_rule.this : r.cidr_block != "0.0.0.0/0" if startswith(k, "intra-")])
    error_message = "No rule of the intra tier names the internet."
  }
  assert {
    condition     = sort(distinct([for k, r in aws_network_acl_rule.this : r.from_port if startswith(k, "intra-in-1") && r.from_port < 1024 * 7 && r.from_port != 1024])) == sort([5432, 6379])
    error_message = "From the private tier, only PostgreSQL and Redis."
  }
}

run "everything_that_flows_is_logged" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.kms_key_id == var.log_key_arn
    error_message = "All traffic, encrypted with our key."
  }
}

run "endpoints_serve_this_account" {
  command = plan

  assert {
    condition = alltrue(flatten([for k, e in aws_vpc_endpoint.interface : [for s in jsondecode(e.policy).Statement :
      values(s.Condition.StringEquals) == ["000000000001"]
    ] if k != "guardduty-data"]))
    error_message = "They are no way out for somebody else's keys."
  }
  assert {
    condition = { for k, e in aws_vpc_endpoint.interface : k => keys(one([for s in jsondecode(e.policy).Statement : s if s.Action == "sts:AssumeRoleWithWebIdentity"]).Condition.StringEquals) if k == "sts" } == {
      sts = ["aws:ResourceAccount"]
    }
    error_message = "Who comes with a token has no account yet; the role has."
  }
}

run "one_nat_gateway_is_enough_for_some" {
  command = plan
  variables {
    nat_per_zone = false
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 3
    error_message = "All zones go out by the one."
  }
}

run "sites_by_vpn" {
  command = plan
  variables {
    vpn_sites = {
      one = { address = "192.0.2.10", networks = ["172.20.0.0/20", "172.21.0.0/20"] }
      two = { address = "192.0.2.20", networks = ["172.22.0.0/20"] }
    }
  }
  assert {
    condition     = length(aws_vpn_connection.site) == 2 && length(aws_vpn_connection_route.site) == 3
    error_message = "A connection for each site, a route for each network."
  }
  assert {
    condition     = alltrue([for c in aws_vpn_connection.site : c.preshared_key_storage == "SecretsManager" && c.tunnel1_ike_versions == toset(["ikev2"])])
    error_message = "Keys are not in the state; IKEv2 only."
  }
}

run "public_addresses_are_refused" {
  command = plan
  variables {
    cidr = "8.8.0.0/16"
  }
  expect_failures = [var.cidr]
}

run "two_zones_are_refused" {
  command = plan
  variables {
    zones = ["eu-central-1a", "eu-central-1b"]
  }
  expect_failures = [var.zones]
}

run "zones_of_another_region_are_refused" {
  command = plan
  variables {
    zones = ["eu-central-1a", "eu-central-1b", "eu-west-1c"]
  }
  expect_failures = [var.zones]
}

run "a_site_that_is_everything_is_refused" {
  command = plan
  variables {
    vpn_sites = { all = { address = "192.0.2.10", networks = ["0.0.0.0/0"] } }
  }
  expect_failures = [var.vpn_sites]
}

run "a_site_of_eleven_networks_is_refused" {
  command = plan
  variables {
    vpn_sites = { many = { address = "192.0.2.10", networks = [for i in range(11) : "172.20.${i}.0/24"] } }
  }
  expect_failures = [var.vpn_sites]
}
