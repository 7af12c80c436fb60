# What the load balancer controller may do: look at the network, and make, change and delete what carries its tag for
# this cluster.

locals {
  elb      = "arn:aws:elasticloadbalancing:${local.region}:${local.account}"
  balanced = ["${local.elb}:loadbalancer/app/*/*", "${local.elb}:loadbalancer/net/*/*", "${local.elb}:targetgroup/*/*"]
  listened = [for kind in ["listener", "listener-rule"] : "${local.elb}:${kind}/*"]
  ours     = { StringEquals = { "aws:ResourceTag/elbv2.k8s.aws/cluster" = var.name } }
  new      = { StringEquals = { "aws:RequestTag/elbv2.k8s.aws/cluster" = var.name } }
}

resource "aws_iam_role_policy" "load_balancers" {
  name = "balance"
  role = aws_iam_role.workload["load-balancers"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # wildcard: describing has no resources.
        Sid    = "Look"
        Effect = "Allow"
        Action = [
          "acm:DescribeCertificate", "acm:ListCertificates", "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses",
          "ec2:DescribeAvailabilityZones", "ec2:DescribeInstances", "ec2:DescribeInternetGateways",
          "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
          "ec2:DescribeTags", "ec2:DescribeVpcs", "ec2:GetSecurityGroupsForVpc",
          "elasticloadbalancing:DescribeCapacityReservation", "elasticloadbalancing:DescribeListenerAttributes",
          "elasticloadbalancing:DescribeListenerCertificates", "elasticloadbalancing:DescribeListeners",
          "elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeLoadBalancers",
          "elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeSSLPolicies",
          "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetGroupAttributes",
          "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
        ]
        Resource  = "*"
        Condition = { StringEquals = { "aws:RequestedRegion" = local.region } }
      },
      {
        # The first load balancer of an account makes the role of the service itself.
        Sid       = "RoleOfTheService"
        Effect    = "Allow"
        Action    = ["iam:CreateServiceLinkedRole"]
        Resource  = ["arn:aws:iam::${local.account}:role/aws-service-role/elasticloadbalancing.amazonaws.com/*"]
        Condition = { StringEquals = { "iam:AWSServiceName" = "elasticloadbalancing.amazonaws.com" } }
      },
      {
        Sid      = "Firewall"
        Effect   = "Allow"
        Action   = ["wafv2:AssociateWebACL", "wafv2:GetWebACL"]
        Resource = concat([var.firewall_arn], [local.balanced[0]])
      },
      {
        Sid      = "FirewallOfALoadBalancer"
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:SetWebACL", "wafv2:DisassociateWebACL", "wafv2:GetWebACLForResource"]
        Resource = [local.balanced[0]]
      },
      {
        Sid      = "GroupsInThisNetwork"
        Effect   = "Allow"
        Action   = ["ec2:CreateSecurityGroup"]
        Resource = ["${local.ec2}:${local.account}:vpc/${var.network_id}"]
      },
      {
        Sid       = "TaggedGroups"
        Effect    = "Allow"
        Action    = ["ec2:CreateSecurityGroup", "ec2:CreateTags"]
        Resource  = ["${local.ec2}:${local.account}:security-group/*"]
        Condition = local.new
      },
      {
        Sid       = "OwnGroups"
        Effect    = "Allow"
        Action    = ["ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup", "ec2:RevokeSecurityGroupIngress"]
        Resource  = ["${local.ec2}:${local.account}:security-group/*"]
        Condition = local.ours
      },
      {
        # The nodes' group lets the load balancer in.
        Sid      = "NodesGroup"
        Effect   = "Allow"
        Action   = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
        Resource = ["${local.ec2}:${local.account}:security-group/${aws_eks_cluster.this.vpc_config[0].cluster_security_group_id}"]
      },
      {
        Sid       = "Make"
        Effect    = "Allow"
        Action    = ["elasticloadbalancing:AddTags", "elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"]
        Resource  = local.balanced
        Condition = local.new
      },
      {
        Sid    = "Change"
        Effect = "Allow"
        Action = [
          "elasticloadbalancing:AddTags", "elasticloadbalancing:CreateListener", "elasticloadbalancing:DeleteLoadBalancer",
          "elasticloadbalancing:DeleteTargetGroup", "elasticloadbalancing:DeregisterTargets",
          "elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:ModifyTargetGroup",
          "elasticloadbalancing:ModifyTargetGroupAttributes", "elasticloadbalancing:RegisterTargets",
          "elasticloadbalancing:RemoveTags", "elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets",
        ]
        Resource  = local.balanced
        Condition = local.ours
      },
      {
        Sid    = "Listeners"
        Effect = "Allow"
        Action = [
          "elasticloadbalancing:AddListenerCertificates", "elasticloadbalancing:AddTags", "elasticloadbalancing:CreateRule",
          "elasticloadbalancing:DeleteListener", "elasticloadbalancing:DeleteRule", "elasticloadbalancing:ModifyListener",
          "elasticloadbalancing:ModifyListenerAttributes", "elasticloadbalancing:ModifyRule",
          "elasticloadbalancing:RemoveListenerCertificates", "elasticloadbalancing:RemoveTags",
          "elasticloadbalancing:SetRulePriorities",
        ]
        Resource = local.listened
      },
    ]
  })
}
