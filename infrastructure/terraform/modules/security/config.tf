# Where Config puts its history. A bucket of its own: Config delivers to none that locks objects by default.

resource "aws_s3_bucket" "config" {
  #checkov:skip=CKV_AWS_144:what Config knows can be asked of it again; the audit trail is the record
  #checkov:skip=CKV_AWS_18:who read it is in the audit trail
  #checkov:skip=CKV2_AWS_62:nothing acts on new objects
  count  = local.once
  bucket = "${var.name}-config-${local.account}"
  tags   = var.tags
}

resource "aws_s3_bucket_versioning" "config" {
  count  = local.once
  bucket = aws_s3_bucket.config[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "config" {
  count  = local.once
  bucket = aws_s3_bucket.config[0].id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.this["trail"].arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "config" {
  count                   = local.once
  bucket                  = aws_s3_bucket.config[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "config" {
  count  = local.once
  bucket = aws_s3_bucket.config[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "config" {
  count  = local.once
  bucket = aws_s3_bucket.config[0].id
  rule {
    id     = "age"
    status = "Enabled"
    filter {}
    expiration {
      days = var.trail_retention_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }

  depends_on = [aws_s3_bucket_versioning.config]
}

resource "aws_s3_bucket_policy" "config" {
  count  = local.once
  bucket = aws_s3_bucket.config[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # wildcard: a refusal, for everybody and everything without TLS.
        Sid       = "WithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.config[0].arn, "${aws_s3_bucket.config[0].arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "ConfigLooks"
        Effect    = "Allow"
        Principal = { Service = "config.amazonaws.com" }
        Action    = ["s3:GetBucketAcl", "s3:ListBucket"]
        Resource  = [aws_s3_bucket.config[0].arn]
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        Sid       = "ConfigWrites"
        Effect    = "Allow"
        Principal = { Service = "config.amazonaws.com" }
        Action    = ["s3:PutObject"]
        Resource  = ["${aws_s3_bucket.config[0].arn}/AWSLogs/${local.account}/Config/*"]
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.config]
}
