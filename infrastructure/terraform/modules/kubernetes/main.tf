# The cluster: its control plane answers inside the network only, keeps its secrets encrypted by our key, and logs
# whatever is asked of it.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  region  = data.aws_region.current.region
  account = data.aws_caller_identity.current.account_id
}

resource "aws_cloudwatch_log_group" "cluster" {
  #checkov:skip=CKV_AWS_338:a year in production, which its tests assert; the other environments say less in their terraform.tfvars
  # The name is the cluster's choice; made here so that key and retention are ours.
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arns["logs"]
  tags              = var.tags
}

resource "aws_iam_role" "cluster" {
  name = "${var.name}-cluster"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_security_group" "api" {
  name        = "${var.name}-api"
  description = "The private endpoint: HTTPS from the operators networks"
  vpc_id      = var.network_id
  tags        = merge(var.tags, { Name = "${var.name}-api" })
}

resource "aws_vpc_security_group_ingress_rule" "api" {
  for_each          = toset(var.operator_networks)
  security_group_id = aws_security_group.api.id
  description       = "Operators"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.key
}

resource "aws_eks_cluster" "this" {
  name                          = var.name
  version                       = var.kubernetes_version
  role_arn                      = aws_iam_role.cluster.arn
  deletion_protection           = var.deletion_protection
  bootstrap_self_managed_addons = false
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  vpc_config {
    subnet_ids              = var.private_subnet_ids
    security_group_ids      = [aws_security_group.api.id]
    endpoint_private_access = true
    endpoint_public_access  = false
  }

  kubernetes_network_config {
    # Said, not left to EKS, which takes 172.20.0.0/16 where the network is in 10.0.0.0/8: the network plugin judges a Service's
    # address before it is translated, and the overlays' policies let out to the API server in 10.0.0.0/8 only.
    ip_family         = "ipv4"
    service_ipv4_cidr = var.service_cidr
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = var.key_arns["cluster"]
    }
  }

  access_config {
    # Who may what is in access entries below, not in a ConfigMap that a mistake can lock everybody out of.
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = false
  }

  upgrade_policy {
    # Upgraded while it costs nothing extra: AWS upgrades by itself when standard support ends.
    support_type = "STANDARD"
  }

  zonal_shift_config {
    enabled = true
  }

  tags = merge(var.tags, { Name = var.name })

  depends_on = [aws_cloudwatch_log_group.cluster, aws_iam_role_policy_attachment.cluster]
}

resource "aws_eks_access_entry" "admin" {
  for_each      = toset(var.admin_role_arns)
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.key
  tags          = var.tags
}

resource "aws_eks_access_policy_association" "admin" {
  for_each      = aws_eks_access_entry.admin
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value.principal_arn
  policy_arn    = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
  access_scope {
    type = "cluster"
  }
}

# What every cluster needs, at the versions that fit its release.
resource "aws_eks_addon" "first" {
  for_each = {
    "vpc-cni" = jsonencode({
      # The overlays' network policies are enforced by it.
      enableNetworkPolicy = "true"
      env                 = { ENABLE_PREFIX_DELEGATION = "true" }
    })
    "kube-proxy"             = null
    "eks-pod-identity-agent" = null
  }
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  configuration_values        = each.value
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  tags                        = var.tags
}

# These need nodes to run on.
resource "aws_eks_addon" "second" {
  for_each = {
    "coredns"             = null
    "metrics-server"      = null
    "snapshot-controller" = null
    # Its volumes carry the tags as well: no default of the provider reaches them.
    "aws-ebs-csi-driver" = jsonencode({ controller = { extraVolumeTags = var.tags } })
  }
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  configuration_values        = each.value
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  tags                        = var.tags

  depends_on = [aws_eks_node_group.this, aws_eks_pod_identity_association.this]
}
