# The pipeline's identities: no stored key. A job gets a token of GitHub's, and by what the token says it is, it takes one of
# three roles; none may do another's work.

locals {
  # The token's subject: a job of a protected environment, or of the main branch.
  pipeline_subjects = {
    deploy  = "repo:${var.deploy_repository}:environment:${var.deploy_environment}"
    plan    = "repo:${var.deploy_repository}:environment:${var.deploy_environment}-plan"
    publish = "repo:${var.deploy_repository}:ref:refs/heads/main"
  }
  # Made by hand before the first plan; backend.tf names the key.
  state_bucket = "arn:aws:s3:::security-hub-state-${local.account}"
}

resource "aws_iam_openid_connect_provider" "pipeline" {
  count          = var.deploy_provider_arn == null ? 1 : 0
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

resource "aws_iam_role" "pipeline" {
  for_each = local.pipeline_subjects
  name     = "${var.name}-${each.key}"
  # A deploy in steps, with its bake and its watch, takes longer than an hour; the job asks for two.
  max_session_duration = each.key == "deploy" ? 7200 : 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = var.deploy_provider_arn == null ? aws_iam_openid_connect_provider.pipeline[0].arn : var.deploy_provider_arn }
      Action    = ["sts:AssumeRoleWithWebIdentity"]
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = each.value
        }
      }
    }]
  })
  tags = var.tags
}

# Inside the cluster it is a member of one group, to which the overlays give the deployer's role.
resource "aws_iam_role_policy" "deploy" {
  name = "deploy"
  role = aws_iam_role.pipeline["deploy"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "FindTheCluster"
      Effect   = "Allow"
      Action   = ["eks:DescribeCluster"]
      Resource = [aws_eks_cluster.this.arn]
    }]
  })
}

resource "aws_eks_access_entry" "deploy" {
  cluster_name      = aws_eks_cluster.this.name
  principal_arn     = aws_iam_role.pipeline["deploy"].arn
  kubernetes_groups = ["security-hub-deployers"]
  tags              = var.tags
}

# For a pipeline whose REGISTRY is the account's own.
resource "aws_iam_role_policy" "publish" {
  name = "publish"
  role = aws_iam_role.pipeline["publish"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # wildcard: a registry token has no resource; what it may touch is the next statement.
        Sid      = "RegistryToken"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid    = "Images"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = values(var.registry_arns)
      },
    ]
  })
}

# A plan compares what is with what is written: it reads settings of everything, and the content of nothing but the state and of
# `plan_secret_arns`.
resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.pipeline["plan"].name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

resource "aws_iam_role_policy" "plan" {
  name = "plan"
  role = aws_iam_role.pipeline["plan"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "State"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${local.state_bucket}/security-hub/${var.deploy_environment}/terraform.tfstate"]
      },
      {
        Sid      = "LockOfTheState"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = ["${local.state_bucket}/security-hub/${var.deploy_environment}/terraform.tfstate.tflock"]
      },
      {
        Sid       = "KeyOfTheState"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = ["arn:aws:kms:${local.region}:${local.account}:key/*"]
        Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = ["alias/security-hub-state"] } }
      },
      {
        Sid         = "NoOtherObject"
        Effect      = "Deny"
        Action      = ["s3:GetObject", "s3:GetObjectVersion"]
        NotResource = ["${local.state_bucket}/security-hub/${var.deploy_environment}/terraform.tfstate*"]
      },
      {
        # wildcard: it only refuses; the managed policy lets these be read.
        Sid    = "NoContent"
        Effect = "Deny"
        Action = [
          "athena:GetQueryResults", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "logs:FilterLogEvents",
          "logs:GetLogEvents", "logs:GetQueryResults", "logs:StartQuery", "ssm:GetParameter", "ssm:GetParameters",
          "ssm:GetParametersByPath",
        ]
        Resource = "*"
      },
      merge(
        # wildcard: it only refuses: every secret, or every one but those that a plan needs.
        { Sid = "NoSecret", Effect = "Deny", Action = ["secretsmanager:GetSecretValue"] },
        length(var.plan_secret_arns) == 0 ? { Resource = ["*"] } : { NotResource = var.plan_secret_arns },
      ),
      ],
      length(var.plan_secret_arns) == 0 ? [] : [{
        Sid      = "SecretsOfThePlan"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.plan_secret_arns
      }],
      length(var.plan_secret_arns) == 0 ? [] : [{
        Sid       = "OpenThem"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.key_arns["secrets"]]
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
      }],
    )
  })
}
