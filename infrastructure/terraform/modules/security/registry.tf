# Images: a tag never changes its meaning, what is pushed is scanned, and scanned again as vulnerabilities become known.

resource "aws_ecr_repository" "hub" {
  for_each             = toset(["security-hub", "hubctl"])
  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.this["registry"].arn
  }
  image_scanning_configuration {
    scan_on_push = true
  }
  tags = var.tags
}

# Fifty releases to roll back to; what never got a tag goes after two weeks.
resource "aws_ecr_lifecycle_policy" "hub" {
  for_each   = aws_ecr_repository.hub
  repository = each.value.name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Without a tag"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "All but the newest fifty"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
        action       = { type = "expire" }
      },
    ]
  })
}

resource "aws_ecr_registry_scanning_configuration" "this" {
  count     = local.once
  scan_type = "ENHANCED"
  rule {
    scan_frequency = "CONTINUOUS_SCAN"
    repository_filter {
      filter      = "${var.name}/*"
      filter_type = "WILDCARD"
    }
  }
}
