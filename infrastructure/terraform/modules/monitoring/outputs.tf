output "metrics_endpoint" {
  description = "For the overlays' Prometheus: `remote_write` goes to this with `api/v1/remote_write` after it."
  value       = aws_prometheus_workspace.this.prometheus_endpoint
}

output "metrics_role_arn" {
  description = "The role that the overlays' Prometheus writes with (pod identity; nothing to annotate)."
  value       = aws_iam_role.prometheus.arn

  depends_on = [aws_eks_pod_identity_association.prometheus]
}

output "dashboards_url" {
  description = "The managed Grafana; null where the cluster's own is used."
  value       = var.managed_grafana ? "https://${aws_grafana_workspace.this["this"].endpoint}" : null
}

output "archive_bucket" {
  description = "Where logs are kept for years, for investigators."
  value       = aws_s3_bucket.logs["archive"].id
}

output "alarm_topic_arn" {
  description = "Where other alarms may be sent."
  value       = aws_sns_topic.alarms.arn
}
