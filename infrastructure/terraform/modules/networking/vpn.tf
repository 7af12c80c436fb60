# Operators' sites reach the private endpoint of the cluster through IPsec, two tunnels each. Pre-shared keys are made
# and kept by AWS in Secrets Manager, so none is in a file or in the state.

resource "aws_vpn_gateway" "this" {
  count  = length(var.vpn_sites) > 0 ? 1 : 0
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_vpn_gateway_route_propagation" "private" {
  for_each       = length(var.vpn_sites) > 0 ? local.private : {}
  vpn_gateway_id = aws_vpn_gateway.this[0].id
  route_table_id = aws_route_table.private[each.key].id
}

resource "aws_customer_gateway" "site" {
  for_each   = var.vpn_sites
  type       = "ipsec.1"
  ip_address = each.value.address
  bgp_asn    = tostring(each.value.asn)
  tags       = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_cloudwatch_log_group" "vpn" {
  #checkov:skip=CKV_AWS_338:a year in production, which its tests assert; the other environments say less in their terraform.tfvars
  count             = length(var.vpn_sites) > 0 ? 1 : 0
  name              = "/${var.name}/network/vpn"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
  tags              = var.tags
}

resource "aws_vpn_connection" "site" {
  for_each              = var.vpn_sites
  type                  = "ipsec.1"
  customer_gateway_id   = aws_customer_gateway.site[each.key].id
  vpn_gateway_id        = aws_vpn_gateway.this[0].id
  static_routes_only    = true
  preshared_key_storage = "SecretsManager"

  tunnel1_ike_versions                 = ["ikev2"]
  tunnel1_phase1_dh_group_numbers      = [19, 20, 21]
  tunnel1_phase1_encryption_algorithms = ["AES256-GCM-16"]
  tunnel1_phase1_integrity_algorithms  = ["SHA2-384"]
  tunnel1_phase2_dh_group_numbers      = [19, 20, 21]
  tunnel1_phase2_encryption_algorithms = ["AES256-GCM-16"]
  tunnel1_phase2_integrity_algorithms  = ["SHA2-384"]
  tunnel2_ike_versions                 = ["ikev2"]
  tunnel2_phase1_dh_group_numbers      = [19, 20, 21]
  tunnel2_phase1_encryption_algorithms = ["AES256-GCM-16"]
  tunnel2_phase1_integrity_algorithms  = ["SHA2-384"]
  tunnel2_phase2_dh_group_numbers      = [19, 20, 21]
  tunnel2_phase2_encryption_algorithms = ["AES256-GCM-16"]
  tunnel2_phase2_integrity_algorithms  = ["SHA2-384"]

  tunnel1_log_options {
    cloudwatch_log_options {
      log_enabled   = true
      log_group_arn = aws_cloudwatch_log_group.vpn[0].arn
    }
  }
  tunnel2_log_options {
    cloudwatch_log_options {
      log_enabled   = true
      log_group_arn = aws_cloudwatch_log_group.vpn[0].arn
    }
  }
  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_vpn_connection_route" "site" {
  for_each = merge([for site, s in var.vpn_sites : { for n in s.networks : "${site} ${n}" => { site = site, network = n } }]...)

  vpn_connection_id      = aws_vpn_connection.site[each.value.site].id
  destination_cidr_block = each.value.network
}
