output "cluster_name" {
  description = "For `kubectl` contexts and the pipeline."
  value       = aws_eks_cluster.this.name
}

output "cluster_arn" {
  description = "The cluster as a handle."
  value       = aws_eks_cluster.this.arn
}

output "cluster_endpoint" {
  description = "The private endpoint."
  value       = aws_eks_cluster.this.endpoint
}

output "cluster_ca" {
  description = "The certificate authority of the endpoint, in base 64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "node_group_id" {
  description = "Security group of nodes and pods: who may speak to the databases."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "pipeline_role_arns" {
  description = "Roles by what a job of the pipeline does: `deploy`, `plan`, `publish`."
  value       = { for name, role in aws_iam_role.pipeline : name => role.arn }
}

output "karpenter" {
  description = "For Karpenter's settings and node class (infrastructure/kubernetes/platform)."
  value = {
    queue            = aws_sqs_queue.interruptions.name
    instance_profile = aws_iam_instance_profile.node.name
    discovery_tag    = { (aws_ec2_tag.discovery.key) = aws_ec2_tag.discovery.value }
  }
}
