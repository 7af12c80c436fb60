# What the Kubernetes overlays, the pipeline and people need. README.md says which of them goes where.

output "overlay" {
  description = "The overlay's place.yaml, value by value: `terraform output -json overlay | infrastructure/kubernetes/place.sh`."
  value = {
    trusted_proxies     = module.networking.network_cidr
    protected_addresses = module.networking.network_cidr
    region              = var.region
    image_registry      = module.security.registry_urls["security-hub"]
    disk_key_arn        = module.security.key_arns["cluster"]
    dns_zone_id         = var.dns_zone_id
    backup_path         = "${module.security.backup_url}/database"
    remote_write_url    = "${module.monitoring.metrics_endpoint}api/v1/remote_write"
    data_networks       = join(",", module.networking.intra_networks)
  }
}

output "platform" {
  description = "What is set by hand beside the overlays: controllers that others install, the managed databases, a web ACL."
  value = {
    network_id   = module.networking.network_id
    karpenter    = module.kubernetes.karpenter
    postgresql   = module.databases.postgresql
    redis        = module.databases.redis
    firewall_arn = module.security.firewall_arn
    registries   = module.security.registry_urls
  }
}

output "pipeline" {
  description = "What the pipeline's jobs need."
  value = {
    role_arns        = module.kubernetes.pipeline_role_arns
    cluster_name     = module.kubernetes.cluster_name
    cluster_arn      = module.kubernetes.cluster_arn
    cluster_endpoint = module.kubernetes.cluster_endpoint
    cluster_ca       = module.kubernetes.cluster_ca
  }
}

output "people" {
  description = "Where to look."
  value = {
    dashboards       = module.monitoring.dashboards_url
    alarm_topic      = module.monitoring.alarm_topic_arn
    metrics_role     = module.monitoring.metrics_role_arn
    trail_bucket     = module.security.trail_bucket
    archive_bucket   = module.monitoring.archive_bucket
    egress_addresses = module.networking.egress_addresses
  }
}
