output "key_arns" {
  description = "Keys by purpose: cluster, data, secrets, logs, registry, trail. Opaque handles for the other modules."
  value       = { for purpose, key in aws_kms_key.this : purpose => key.arn }
}

output "backup_copy_key_arn" {
  description = "Key of the copies in the backup region."
  value       = aws_kms_key.backup_copy.arn
}

output "secret_arns" {
  description = "Secrets by the name that the overlays' external secrets ask for."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}

output "registry_urls" {
  description = "The account's own registry, for pipelines whose REGISTRY is it; the overlays admit images from there as well as from the public one."
  value       = { for name, repository in aws_ecr_repository.hub : name => repository.repository_url }
}

output "registry_arns" {
  description = "The same as handles."
  value       = { for name, repository in aws_ecr_repository.hub : name => repository.arn }
}

output "firewall_arn" {
  description = "The web ACL; attached to nothing by us (firewall.tf says why)."
  value       = aws_wafv2_web_acl.this.arn
}

output "backup_tag" {
  description = "The tag that puts a resource into the backup plan."
  value       = { backup = var.name }

  depends_on = [aws_backup_selection.tagged]
}

output "trail_bucket" {
  description = "Bucket of the audit trail, for investigators."
  value       = aws_s3_bucket.trail.id
}

output "trail_log_group" {
  description = "The trail as a log group, for alarms."
  value       = aws_cloudwatch_log_group.trail.name
}

output "backup_bucket" {
  description = "Bucket of the backups, by name."
  value       = aws_s3_bucket.backup["here"].id
}

output "backup_url" {
  description = "The same as an address, for the overlays' `destinationPath` of the in-cluster database's backups."
  value       = "s3://${aws_s3_bucket.backup["here"].id}"
}

output "backup_bucket_arn" {
  description = "The same as a handle."
  value       = aws_s3_bucket.backup["here"].arn
}
