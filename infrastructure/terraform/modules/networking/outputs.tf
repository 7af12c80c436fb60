output "network_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "network_cidr" {
  description = "Its addresses: the overlays' HUB_TRUSTED_PROXIES and HUB_RESPOND_PROTECTED_ADDRESSES."
  value       = aws_vpc.this.cidr_block
}

output "intra_networks" {
  description = "Addresses of the databases' subnets: the overlays open their way to a managed database to these."
  value       = values(aws_subnet.intra)[*].cidr_block
}

output "private_subnet_ids" {
  description = "Where nodes and pods run, one in each zone."
  value       = values(aws_subnet.private)[*].id
}

output "intra_subnet_ids" {
  description = "Where databases stand, one in each zone."
  value       = values(aws_subnet.intra)[*].id
}

output "egress_addresses" {
  description = "Public addresses that our calls come from, for others' allow lists."
  value       = values(aws_eip.nat)[*].public_ip
}
