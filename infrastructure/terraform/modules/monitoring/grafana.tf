# Grafana, managed, signed in to through the organisation; reads the metrics and nothing else.

locals {
  grafana = var.managed_grafana ? { this = true } : {}
}

resource "aws_security_group" "grafana" {
  for_each    = local.grafana
  name        = "${var.name}-grafana"
  description = "Grafana: HTTPS to the endpoints in the network"
  vpc_id      = var.network_id
  tags        = merge(var.tags, { Name = "${var.name}-grafana" })
}

resource "aws_vpc_security_group_egress_rule" "grafana" {
  for_each          = local.grafana
  security_group_id = aws_security_group.grafana[each.key].id
  description       = "HTTPS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_iam_role" "grafana" {
  for_each = local.grafana
  name     = "${var.name}-grafana"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "grafana.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "grafana" {
  for_each = local.grafana
  name     = "read"
  role     = aws_iam_role.grafana[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["aps:DescribeWorkspace", "aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"]
      Resource = [aws_prometheus_workspace.this.arn]
    }]
  })
}

resource "aws_grafana_workspace" "this" {
  for_each                 = local.grafana
  name                     = var.name
  description              = "The hub's dashboards"
  account_access_type      = "CURRENT_ACCOUNT"
  authentication_providers = ["AWS_SSO"]
  permission_type          = "CUSTOMER_MANAGED"
  role_arn                 = aws_iam_role.grafana[each.key].arn
  data_sources             = ["PROMETHEUS"]
  configuration            = jsonencode({ plugins = { pluginAdminEnabled = false }, unifiedAlerting = { enabled = false } })

  vpc_configuration {
    subnet_ids         = var.private_subnet_ids
    security_group_ids = [aws_security_group.grafana[each.key].id]
  }
  tags = var.tags
}

resource "aws_grafana_role_association" "this" {
  for_each     = var.managed_grafana ? var.grafana_groups : {}
  workspace_id = aws_grafana_workspace.this["this"].id
  role         = each.key
  group_ids    = each.value
}
