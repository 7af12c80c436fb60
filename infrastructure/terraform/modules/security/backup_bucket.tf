# Where the in-cluster database's base backups and write-ahead log go, and `hubctl`'s exports; copied to the other
# region as they come. What is deleted stays as a version until its lock ends, so that an intruder with the database's
# identity cannot take the backups along.

locals {
  backup_buckets = {
    here = { region = local.region, key = aws_kms_key.this["data"].arn, name = "${var.name}-backups-${local.account}" }
    copy = { region = var.backup_region, key = aws_kms_key.backup_copy.arn, name = "${var.name}-backups-copy-${local.account}" }
  }
}

resource "aws_s3_bucket" "backup" {
  #checkov:skip=CKV_AWS_18:who read or deleted is asked of the trail, not of access logs, which arrive late and not surely
  #checkov:skip=CKV2_AWS_62:nothing acts on new objects; the age of the newest backup is watched by the hub's operators
  #checkov:skip=CKV_AWS_144:the copy is the other bucket below; it needs none itself
  for_each            = local.backup_buckets
  region              = each.value.region
  bucket              = each.value.name
  object_lock_enabled = true
  tags                = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "backup" {
  for_each = local.backup_buckets
  region   = each.value.region
  bucket   = aws_s3_bucket.backup[each.key].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "backup" {
  for_each = local.backup_buckets
  region   = each.value.region
  bucket   = aws_s3_bucket.backup[each.key].id
  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = var.backup_lock_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.backup]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "backup" {
  for_each = local.backup_buckets
  region   = each.value.region
  bucket   = aws_s3_bucket.backup[each.key].id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = each.value.key
    }
  }
}

resource "aws_s3_bucket_public_access_block" "backup" {
  for_each                = local.backup_buckets
  region                  = each.value.region
  bucket                  = aws_s3_bucket.backup[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "backup" {
  for_each = local.backup_buckets
  region   = each.value.region
  bucket   = aws_s3_bucket.backup[each.key].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "backup" {
  for_each = local.backup_buckets
  region   = each.value.region
  bucket   = aws_s3_bucket.backup[each.key].id
  # The database's own retention deletes; this clears away what it left behind.
  rule {
    id     = "left-behind"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.backup_lock_days + 1
    }
    expiration {
      expired_object_delete_marker = true
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }

  depends_on = [aws_s3_bucket_versioning.backup]
}

resource "aws_s3_bucket_policy" "backup" {
  for_each = local.backup_buckets
  region   = each.value.region
  bucket   = aws_s3_bucket.backup[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      # wildcard: a refusal, for everybody and everything without TLS.
      Sid       = "WithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.backup[each.key].arn, "${aws_s3_bucket.backup[each.key].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.backup]
}

resource "aws_iam_role" "replication" {
  name = "${var.name}-backup-replication"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "replication" {
  name = "replicate"
  role = aws_iam_role.replication.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = [aws_s3_bucket.backup["here"].arn]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectVersionAcl", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionTagging"]
        Resource = ["${aws_s3_bucket.backup["here"].arn}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateTags"]
        Resource = ["${aws_s3_bucket.backup["copy"].arn}/*"]
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [aws_kms_key.this["data"].arn]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Encrypt"]
        Resource  = [aws_kms_key.backup_copy.arn]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.backup_region}.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "backup" {
  role   = aws_iam_role.replication.arn
  bucket = aws_s3_bucket.backup["here"].id
  rule {
    id     = "all"
    status = "Enabled"
    filter {}
    # A deletion is not copied: the copy is for the day on which the deletion was not ours.
    delete_marker_replication {
      status = "Disabled"
    }
    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }
    destination {
      bucket        = aws_s3_bucket.backup["copy"].arn
      storage_class = "STANDARD_IA"
      # Without figures S3 tells of no copy that failed (monitoring/alarms.tf).
      metrics {
        status = "Enabled"
      }
      encryption_configuration {
        replica_kms_key_id = aws_kms_key.backup_copy.arn
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.backup]
}
