# Karpenter: nodes when pods wait, fewer when they do not, and away from spot machines before AWS takes them back.
# It may act only on machines that carry this cluster's tag.

locals {
  owned     = "kubernetes.io/cluster/${var.name}"
  ec2       = "arn:aws:ec2:${local.region}"
  made_here = [for kind in ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"] : "${local.ec2}:${local.account}:${kind}/*"]
  interruptions = {
    spot        = { source = "aws.ec2", type = "EC2 Spot Instance Interruption Warning" }
    rebalance   = { source = "aws.ec2", type = "EC2 Instance Rebalance Recommendation" }
    state       = { source = "aws.ec2", type = "EC2 Instance State-change Notification" }
    maintenance = { source = "aws.health", type = "AWS Health Event" }
  }
}

resource "aws_sqs_queue" "interruptions" {
  name                      = "${var.name}-interruptions"
  message_retention_seconds = 300
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "interruptions" {
  queue_url = aws_sqs_queue.interruptions.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { ArnEquals = { "aws:SourceArn" = [for r in aws_cloudwatch_event_rule.interruption : r.arn] } }
      },
      {
        # wildcard: a refusal, for everybody without TLS.
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_rule" "interruption" {
  for_each      = local.interruptions
  name          = "${var.name}-${each.key}"
  event_pattern = jsonencode({ source = [each.value.source], detail-type = [each.value.type] })
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "interruption" {
  for_each = local.interruptions
  rule     = aws_cloudwatch_event_rule.interruption[each.key].name
  arn      = aws_sqs_queue.interruptions.arn
}

resource "aws_iam_role_policy" "karpenter" {
  name = "karpenter"
  role = aws_iam_role.workload["karpenter"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # wildcard: describing has no resources in EC2 and in the price list.
        Sid    = "Look"
        Effect = "Allow"
        Action = [
          "ec2:DescribeAvailabilityZones", "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeInstanceTypeOfferings",
          "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplates", "ec2:DescribeSecurityGroups", "ec2:DescribeSpotPriceHistory",
          "ec2:DescribeSubnets", "pricing:GetProducts",
        ]
        Resource  = "*"
        Condition = { StringEquals = { "aws:RequestedRegion" = [local.region, "us-east-1"] } }
      },
      {
        Sid      = "ImagesOfTheNodes"
        Effect   = "Allow"
        Action   = ["ssm:GetParameter"]
        Resource = ["arn:aws:ssm:${local.region}::parameter/aws/service/bottlerocket/*"]
      },
      {
        Sid      = "StartFrom"
        Effect   = "Allow"
        Action   = ["ec2:RunInstances", "ec2:CreateFleet"]
        Resource = concat(["${local.ec2}::image/*", "${local.ec2}::snapshot/*", "${local.ec2}:${local.account}:security-group/${aws_eks_cluster.this.vpc_config[0].cluster_security_group_id}"], [for s in var.private_subnet_ids : "${local.ec2}:${local.account}:subnet/${s}"])
      },
      {
        Sid       = "StartFromOwnTemplates"
        Effect    = "Allow"
        Action    = ["ec2:RunInstances", "ec2:CreateFleet"]
        Resource  = ["${local.ec2}:${local.account}:launch-template/*"]
        Condition = { StringEquals = { "aws:ResourceTag/${local.owned}" = "owned" } }
      },
      {
        Sid       = "StartTagged"
        Effect    = "Allow"
        Action    = ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"]
        Resource  = local.made_here
        Condition = { StringEquals = { "aws:RequestTag/${local.owned}" = "owned" } }
      },
      {
        Sid      = "TagWhatItStarts"
        Effect   = "Allow"
        Action   = ["ec2:CreateTags"]
        Resource = local.made_here
        Condition = {
          StringEquals = { "aws:RequestTag/${local.owned}" = "owned", "ec2:CreateAction" = ["RunInstances", "CreateFleet", "CreateLaunchTemplate"] }
        }
      },
      {
        Sid      = "NameItsMachines"
        Effect   = "Allow"
        Action   = ["ec2:CreateTags"]
        Resource = ["${local.ec2}:${local.account}:instance/*"]
        Condition = {
          StringEquals                = { "aws:ResourceTag/${local.owned}" = "owned" }
          "ForAllValues:StringEquals" = { "aws:TagKeys" = ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"] }
        }
      },
      {
        Sid       = "StopItsMachines"
        Effect    = "Allow"
        Action    = ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"]
        Resource  = ["${local.ec2}:${local.account}:instance/*", "${local.ec2}:${local.account}:launch-template/*"]
        Condition = { StringEquals = { "aws:ResourceTag/${local.owned}" = "owned" } }
      },
      {
        Sid       = "GiveNodesTheirRole"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = [aws_iam_role.node.arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
      },
      {
        # The profile is made here; it only reads it.
        Sid      = "NodeProfile"
        Effect   = "Allow"
        Action   = ["iam:GetInstanceProfile"]
        Resource = [aws_iam_instance_profile.node.arn]
      },
      {
        Sid      = "Interruptions"
        Effect   = "Allow"
        Action   = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
        Resource = [aws_sqs_queue.interruptions.arn]
      },
      {
        Sid      = "ClusterEndpoint"
        Effect   = "Allow"
        Action   = ["eks:DescribeCluster"]
        Resource = [aws_eks_cluster.this.arn]
      },
    ]
  })
}

resource "aws_iam_instance_profile" "node" {
  name = "${var.name}-node"
  role = aws_iam_role.node.name
  tags = var.tags
}
