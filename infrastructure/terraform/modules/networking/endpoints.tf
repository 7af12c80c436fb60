# AWS services without the internet: S3 through the route tables, the rest through interfaces in the private subnets.

locals {
  endpoints = toset([
    "aps-workspaces", "autoscaling", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing", "guardduty-data", "kms",
    "logs", "secretsmanager", "sqs", "sts",
  ])
  # Only this account's own identities may use them, so that they are no way out for somebody else's keys.
  own_account = { StringEquals = { "aws:PrincipalAccount" = data.aws_caller_identity.current.account_id } }
}

resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = "Interface endpoints: HTTPS from the private tier"
  vpc_id      = aws_vpc.this.id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each          = local.private
  security_group_id = aws_security_group.endpoints.id
  description       = "HTTPS from the nodes in ${each.key}"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = values(aws_route_table.private)[*].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # wildcard: an endpoint policy only narrows what identities may already do; the condition is the narrowing.
        Sid       = "OwnAccount"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:*"
        Resource  = "*"
        Condition = local.own_account
      },
      {
        Sid       = "ImageLayersOfTheRegistry"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = "arn:aws:s3:::prod-${var.region}-starport-layer-bucket/*"
      },
    ]
  })
  tags = merge(var.tags, { Name = "${var.name}-s3" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = local.endpoints
  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = values(aws_subnet.private)[*].id
  security_group_ids  = [aws_security_group.endpoints.id]
  # GuardDuty's agent is refused by any other policy than the open one.
  policy = each.key == "guardduty-data" ? null : jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        # wildcard: as above.
        Sid       = "OwnAccount"
        Effect    = "Allow"
        Principal = "*"
        Action    = "*"
        Resource  = "*"
        Condition = local.own_account
      }],
      each.key != "sts" ? [] : [{
        # The pipeline's jobs: who shows a token has signed nothing yet and is of no account. The role must be ours.
        Sid       = "OwnRolesByToken"
        Effect    = "Allow"
        Principal = "*"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Resource  = "*"
        Condition = { StringEquals = { "aws:ResourceAccount" = data.aws_caller_identity.current.account_id } }
      }],
    )
  })
  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}
