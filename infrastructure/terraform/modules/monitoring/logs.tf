# Logs for years: CloudWatch keeps them for searching, this bucket keeps them for proof: the audit trail's log group and the
# cluster's, written by Firehose, locked.

locals {
  log_buckets = {
    archive = { name = "${var.name}-archive-${local.account}", algorithm = "aws:kms", key = var.log_key_arn }
  }
}

resource "aws_s3_bucket" "logs" {
  #checkov:skip=CKV_AWS_18:this is where logs go; a bucket that logs its own reading never ends
  #checkov:skip=CKV_AWS_144:the audit trail itself is locked in its own bucket; this is its searchable second copy
  #checkov:skip=CKV_AWS_19:encrypted with our key, below, by a loop that this check does not unfold; the tests assert it
  #checkov:skip=CKV_AWS_145:encrypted with our key, by the same loop
  #checkov:skip=CKV2_AWS_62:nothing acts on new objects
  for_each            = local.log_buckets
  bucket              = each.value.name
  object_lock_enabled = each.key == "archive"
  tags                = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "logs" {
  for_each = local.log_buckets
  bucket   = aws_s3_bucket.logs[each.key].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "archive" {
  bucket = aws_s3_bucket.logs["archive"].id
  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = var.archive_lock_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.logs]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  for_each = local.log_buckets
  bucket   = aws_s3_bucket.logs[each.key].id
  rule {
    bucket_key_enabled = each.value.key != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = each.value.algorithm
      kms_master_key_id = each.value.key
    }
  }
}

resource "aws_s3_bucket_public_access_block" "logs" {
  for_each                = local.log_buckets
  bucket                  = aws_s3_bucket.logs[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  for_each = local.log_buckets
  bucket   = aws_s3_bucket.logs[each.key].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  for_each = local.log_buckets
  bucket   = aws_s3_bucket.logs[each.key].id
  rule {
    id     = "age"
    status = "Enabled"
    filter {}
    transition {
      days          = 30
      storage_class = "STANDARD_IA"
    }
    transition {
      days          = 90
      storage_class = "GLACIER_IR"
    }
    expiration {
      # After the lock, and never below what the colder classes are billed for anyway.
      days = max(var.archive_lock_days + 30, 180)
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }

  depends_on = [aws_s3_bucket_versioning.logs]
}

resource "aws_s3_bucket_policy" "logs" {
  for_each = local.log_buckets
  bucket   = aws_s3_bucket.logs[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      # wildcard: a refusal, for everybody and everything without TLS.
      Sid       = "WithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.logs[each.key].arn, "${aws_s3_bucket.logs[each.key].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.logs]
}

resource "aws_iam_role" "archive" {
  name = "${var.name}-archive"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "firehose.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "archive" {
  name = "write"
  role = aws_iam_role.archive.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:PutObject"]
        Resource = [aws_s3_bucket.logs["archive"].arn, "${aws_s3_bucket.logs["archive"].arn}/*"]
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.log_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = ["s3.${local.region}.amazonaws.com", "firehose.${local.region}.amazonaws.com"] } }
      },
    ]
  })
}

resource "aws_kinesis_firehose_delivery_stream" "archive" {
  name        = "${var.name}-archive"
  destination = "extended_s3"

  server_side_encryption {
    enabled  = true
    key_type = "CUSTOMER_MANAGED_CMK"
    key_arn  = var.log_key_arn
  }

  extended_s3_configuration {
    role_arn            = aws_iam_role.archive.arn
    bucket_arn          = aws_s3_bucket.logs["archive"].arn
    kms_key_arn         = var.log_key_arn
    prefix              = "logs/"
    error_output_prefix = "errors/"
    buffering_size      = 64
    buffering_interval  = 300
    # What CloudWatch sends is compressed already.
    compression_format = "UNCOMPRESSED"
  }
  tags = var.tags
}

resource "aws_iam_role" "subscription" {
  name = "${var.name}-archive-subscription"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "logs.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringLike = { "aws:SourceArn" = "arn:aws:logs:${local.region}:${local.account}:*" } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "subscription" {
  name = "send"
  role = aws_iam_role.subscription.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["firehose:PutRecord", "firehose:PutRecordBatch"]
      Resource = [aws_kinesis_firehose_delivery_stream.archive.arn]
    }]
  })
}

resource "aws_cloudwatch_log_subscription_filter" "cluster" {
  for_each = {
    trail   = var.trail_log_group
    cluster = "/aws/eks/${var.cluster_name}/cluster"
  }
  name            = "${var.name}-archive-${each.key}"
  log_group_name  = each.value
  filter_pattern  = ""
  destination_arn = aws_kinesis_firehose_delivery_stream.archive.arn
  role_arn        = aws_iam_role.subscription.arn

  depends_on = [aws_iam_role_policy.subscription]
}
