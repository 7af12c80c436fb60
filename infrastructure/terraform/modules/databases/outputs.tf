output "postgresql" {
  description = "Where the servers' database is; null where the cluster runs it."
  value = var.postgresql == null ? null : {
    host             = aws_db_instance.primary["primary"].address
    port             = aws_db_instance.primary["primary"].port
    database         = aws_db_instance.primary["primary"].db_name
    read_hosts       = [for r in values(aws_db_instance.replica) : r.address]
    admin_secret_arn = aws_db_instance.primary["primary"].master_user_secret[0].secret_arn
  }
}

output "redis" {
  description = "Where Redis is; null where the cluster runs it. TLS only, user `hub`."
  value = var.redis == null ? null : {
    host = aws_elasticache_replication_group.this["this"].configuration_endpoint_address
    port = 6379
  }
}

output "alarm_targets" {
  description = "What monitoring watches: identifiers of the database's machines and of Redis' members."
  value = {
    postgresql_primary  = [for i in values(aws_db_instance.primary) : i.identifier]
    postgresql_replicas = [for i in values(aws_db_instance.replica) : i.identifier]
    # Members are named by shard and node.
    redis = flatten([for g in values(aws_elasticache_replication_group.this) : [
      for shard in range(var.redis.shards) : [for node in range(var.redis.replicas_per_shard + 1) : format("%s-%04d-%03d", g.replication_group_id, shard + 1, node + 1)]
    ]])
    storage_gib = try(var.postgresql.storage_gib, 0)
  }
}
