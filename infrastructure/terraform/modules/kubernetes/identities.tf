# Identities of workloads that talk to AWS. Each is one service account's, by pod identity; nothing else in the cluster
# has any. The hub itself talks to no AWS service and has none.

locals {
  workloads = {
    karpenter        = { namespace = "kube-system", account = "karpenter" }
    disks            = { namespace = "kube-system", account = "ebs-csi-controller-sa" }
    load-balancers   = { namespace = "kube-system", account = "aws-load-balancer-controller" }
    certificates     = { namespace = "cert-manager", account = "cert-manager" }
    external-secrets = { namespace = "external-secrets", account = "external-secrets" }
    database-backup  = { namespace = "security-hub-data", account = "security-hub-db" }
  }
}

resource "aws_iam_role" "workload" {
  for_each = local.workloads
  name     = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = local.account
          "aws:RequestTag/kubernetes-namespace"       = each.value.namespace
          "aws:RequestTag/kubernetes-service-account" = each.value.account
        }
        ArnEquals = { "aws:SourceArn" = aws_eks_cluster.this.arn }
      }
    }]
  })
  tags = var.tags
}

resource "aws_eks_pod_identity_association" "this" {
  for_each        = local.workloads
  cluster_name    = aws_eks_cluster.this.name
  namespace       = each.value.namespace
  service_account = each.value.account
  role_arn        = aws_iam_role.workload[each.key].arn
  tags            = var.tags
}

resource "aws_iam_role_policy" "external_secrets" {
  name = "read"
  role = aws_iam_role.workload["external-secrets"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ExactlyThese"
        Effect   = "Allow"
        Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
        Resource = values(var.secret_arns)
      },
      {
        Sid       = "Open"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.key_arns["secrets"]]
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
      },
    ]
  })
}

# Write, read and list; the retention policy needs deleting, which leaves versions behind in the bucket.
resource "aws_iam_role_policy" "database_backup" {
  name = "backup"
  role = aws_iam_role.workload["database-backup"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        Resource = ["${var.backup_bucket_arn}/database/*"]
      },
      # No condition on the prefix: before all else the plugin asks whether the bucket is there (HeadBucket), which is this right too
      # and names none. It sees the names of exports that lie beside the backups, and cannot read them.
      {
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [var.backup_bucket_arn]
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.key_arns["data"]]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
    ]
  })
}

# Certificates: cert-manager proves that a name is ours by a record of text in its zone, and writes nothing else there.
resource "aws_iam_role_policy" "certificates" {
  name = "prove"
  role = aws_iam_role.workload["certificates"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "RecordsOfTheZone"
        Effect    = "Allow"
        Action    = ["route53:ChangeResourceRecordSets"]
        Resource  = ["arn:aws:route53:::hostedzone/${var.dns_zone_id}"]
        Condition = { "ForAllValues:StringEquals" = { "route53:ChangeResourceRecordSetsRecordTypes" = ["TXT"] } }
      },
      {
        Sid      = "LookAtTheZone"
        Effect   = "Allow"
        Action   = ["route53:ListResourceRecordSets"]
        Resource = ["arn:aws:route53:::hostedzone/${var.dns_zone_id}"]
      },
      {
        Sid      = "WhetherItIsDone"
        Effect   = "Allow"
        Action   = ["route53:GetChange"]
        Resource = ["arn:aws:route53:::change/*"]
      },
    ]
  })
}

# The disk driver: AWS' own policy for it is bound to the driver's tags.
resource "aws_iam_role_policy_attachment" "disks" {
  role       = aws_iam_role.workload["disks"].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
}

# Whoever makes an encrypted disk needs its key: the driver for volumes, Karpenter for the machines that it starts.
resource "aws_iam_role_policy" "disks" {
  for_each = toset(["disks", "karpenter"])
  name     = "key"
  role     = aws_iam_role.workload[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = [var.key_arns["cluster"]]
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"]
        Resource  = [var.key_arns["cluster"]]
        Condition = { StringEquals = { "kms:ViaService" = "ec2.${local.region}.amazonaws.com" } }
      },
    ]
  })
}
