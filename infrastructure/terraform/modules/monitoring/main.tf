# Metrics outside the cluster, so that they are there when the cluster is not: the overlays' Prometheus scrapes and
# writes on to the managed one, which keeps them.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  region  = data.aws_region.current.region
  account = data.aws_caller_identity.current.account_id
}

resource "aws_cloudwatch_log_group" "prometheus" {
  name              = "/aws/vendedlogs/${var.name}/prometheus"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn
  tags              = var.tags
}

resource "aws_prometheus_workspace" "this" {
  alias = var.name
  # Metrics hold no secrets of tenants; AWS' own key encrypts them, and ours would have to be open to its service.
  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.prometheus.arn}:*"
  }
  tags = var.tags
}

resource "aws_prometheus_workspace_configuration" "this" {
  workspace_id             = aws_prometheus_workspace.this.id
  retention_period_in_days = var.metrics_retention_days
}

resource "aws_iam_role" "prometheus" {
  name = "${var.name}-prometheus"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = local.account
          "aws:RequestTag/eks-cluster-name"           = var.cluster_name
          "aws:RequestTag/kubernetes-namespace"       = "security-hub-monitoring"
          "aws:RequestTag/kubernetes-service-account" = "prometheus"
        }
      }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "prometheus" {
  name = "write"
  role = aws_iam_role.prometheus.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["aps:RemoteWrite"]
      Resource = [aws_prometheus_workspace.this.arn]
    }]
  })
}

resource "aws_eks_pod_identity_association" "prometheus" {
  cluster_name    = var.cluster_name
  namespace       = "security-hub-monitoring"
  service_account = "prometheus"
  role_arn        = aws_iam_role.prometheus.arn
  tags            = var.tags
}
