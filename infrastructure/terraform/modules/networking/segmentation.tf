# Second fence beside the security groups: stateless rules between the tiers. A mistake in one group does not open a
# database to the internet.

locals {
  # tier => rule => what it lets pass. Numbers are the order.
  acl_rules = {
    for r in concat(
      # Public: HTTPS and HTTP (to be redirected) from anybody, answers to what NAT asked.
      [
        { tier = "public", way = "in", number = 100, protocol = "tcp", from = 443, to = 443, cidr = "0.0.0.0/0" },
        { tier = "public", way = "in", number = 110, protocol = "tcp", from = 80, to = 80, cidr = "0.0.0.0/0" },
        { tier = "public", way = "in", number = 120, protocol = "tcp", from = 1024, to = 65535, cidr = "0.0.0.0/0" },
        { tier = "public", way = "in", number = 130, protocol = "udp", from = 1024, to = 65535, cidr = "0.0.0.0/0" },
        { tier = "public", way = "in", number = 140, protocol = "-1", from = 0, to = 0, cidr = var.cidr },
        { tier = "public", way = "out", number = 100, protocol = "-1", from = 0, to = 0, cidr = "0.0.0.0/0" },
      ],
      # Private: the network, and answers from outside.
      [
        { tier = "private", way = "in", number = 100, protocol = "-1", from = 0, to = 0, cidr = var.cidr },
        { tier = "private", way = "in", number = 110, protocol = "tcp", from = 1024, to = 65535, cidr = "0.0.0.0/0" },
        { tier = "private", way = "in", number = 120, protocol = "udp", from = 1024, to = 65535, cidr = "0.0.0.0/0" },
        { tier = "private", way = "out", number = 100, protocol = "-1", from = 0, to = 0, cidr = "0.0.0.0/0" },
      ],
      # VPN sites speak to the cluster's private endpoint.
      flatten([for i, site in sort(keys(var.vpn_sites)) : [for j, network in var.vpn_sites[site].networks :
        { tier = "private", way = "in", number = 200 + 10 * i + j, protocol = "tcp", from = 443, to = 443, cidr = network }
      ]]),
      # Intra: PostgreSQL and Redis from the private tier, and answers to it; among themselves.
      flatten([for i, zone in var.zones : [
        { tier = "intra", way = "in", number = 100 + i, protocol = "tcp", from = 5432, to = 5432, cidr = local.private[zone] },
        { tier = "intra", way = "in", number = 110 + i, protocol = "tcp", from = 6379, to = 6379, cidr = local.private[zone] },
        { tier = "intra", way = "out", number = 100 + i, protocol = "tcp", from = 1024, to = 65535, cidr = local.private[zone] },
        { tier = "intra", way = "in", number = 120 + i, protocol = "tcp", from = 1024, to = 65535, cidr = local.intra[zone] },
        { tier = "intra", way = "out", number = 110 + i, protocol = "tcp", from = 1024, to = 65535, cidr = local.intra[zone] },
      ]]),
    ) : "${r.tier}-${r.way}-${r.number}" => r
  }
  acl_ids = {
    public  = aws_network_acl.public.id
    private = aws_network_acl.private.id
    intra   = aws_network_acl.intra.id
  }
}

resource "aws_network_acl" "public" {
  vpc_id     = aws_vpc.this.id
  subnet_ids = values(aws_subnet.public)[*].id
  tags       = merge(var.tags, { Name = "${var.name}-public" })
}

resource "aws_network_acl" "private" {
  vpc_id     = aws_vpc.this.id
  subnet_ids = values(aws_subnet.private)[*].id
  tags       = merge(var.tags, { Name = "${var.name}-private" })
}

resource "aws_network_acl" "intra" {
  vpc_id     = aws_vpc.this.id
  subnet_ids = values(aws_subnet.intra)[*].id
  tags       = merge(var.tags, { Name = "${var.name}-intra" })
}

resource "aws_network_acl_rule" "this" {
  # Rules of numbers that the tiers share out above; a site has at most ten networks (variables.tf).
  for_each       = local.acl_rules
  network_acl_id = local.acl_ids[each.value.tier]
  egress         = each.value.way == "out"
  rule_number    = each.value.number
  rule_action    = "allow"
  protocol       = each.value.protocol
  cidr_block     = each.value.cidr
  from_port      = each.value.from
  to_port        = each.value.to
}
