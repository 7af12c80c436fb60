mock_provider "aws" {
  source          = "../../testing"
  override_during = plan
}

variables {
  name               = "security-hub-test"
  kubernetes_version = "1.35"
  network_id         = "vpc-mocked"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
  operator_networks  = ["172.20.0.0/20"]
  service_cidr       = "10.100.0.0/16"
  key_arns = {
    cluster = "arn:aws:kms:eu-central-1:000000000001:key/cluster"
    secrets = "arn:aws:kms:eu-central-1:000000000001:key/secrets"
    logs    = "arn:aws:kms:eu-central-1:000000000001:key/logs"
    data    = "arn:aws:kms:eu-central-1:000000000001:key/data"
  }
  secret_arns       = { "security-hub/key-ring" = "arn:aws:secretsmanager:eu-central-1:000000000001:secret:security-hub/key-ring" }
  registry_arns     = { security-hub = "arn:aws:ecr:eu-central-1:000000000001:repository/security-hub" }
  backup_bucket_arn = "arn:aws:s3:::security-hub-test-backups"
  firewall_arn      = "arn:aws:wafv2:eu-central-1:000000000001:regional/webacl/security-hub-test/0"
  dns_zone_id       = "Z0000000000001"
  tags              = { hub-environment = "security-hub-test" }
  node_pools = {
    system = { capacity = "on-demand", machines = ["m7i.large"], minimum = 3, maximum = 6 }
    burst  = { capacity = "spot", machines = ["m7i.large", "m6i.large", "m7a.large"], minimum = 0, maximum = 8, dedicated = "burst" }
  }
  admin_role_arns    = ["arn:aws:iam::000000000001:role/platform-admin"]
  deploy_repository  = "security-hub/security-hub"
  deploy_environment = "production"
  plan_secret_arns   = []
}

run "control_plane" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "It answers inside the network only."
  }
  assert {
    condition     = length(aws_eks_cluster.this.enabled_cluster_log_types) == 5 && aws_cloudwatch_log_group.cluster.kms_key_id == var.key_arns["logs"]
    error_message = "All is logged, the audit log among it."
  }
  assert {
    condition     = contains(aws_eks_cluster.this.encryption_config[0].resources, "secrets") && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.key_arns["cluster"]
    error_message = "Secrets are sealed with our key."
  }
  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "Whoever made it has no rights by that."
  }
}

run "services_have_addresses_that_the_overlays_let_out_to" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.kubernetes_network_config[0].service_ipv4_cidr == "10.100.0.0/16"
    error_message = "EKS chooses the API server's address, maybe outside of 10.0.0.0/8."
  }
}

run "services_elsewhere_are_refused" {
  command = plan
  variables {
    service_cidr = "172.20.0.0/16"
  }
  expect_failures = [var.service_cidr]
}

run "nodes" {
  command = plan

  assert {
    condition     = aws_eks_node_group.this["burst"].capacity_type == "SPOT" && aws_eks_node_group.this["system"].capacity_type == "ON_DEMAND"
    error_message = "Spot and on demand."
  }
  assert {
    condition     = alltrue([for t in aws_launch_template.node : t.metadata_options[0].http_tokens == "required" && t.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "Pods do not reach the node's identity."
  }
  assert {
    condition     = alltrue(flatten([for t in aws_launch_template.node : [for d in t.block_device_mappings : tobool(d.ebs[0].encrypted) && d.ebs[0].kms_key_id == var.key_arns["cluster"]]]))
    error_message = "All disks are encrypted with our key."
  }
  assert {
    condition     = one(aws_eks_node_group.this["burst"].taint).value == "burst" && length(aws_eks_node_group.this["system"].taint) == 0
    error_message = "A dedicated pool takes only who asks for it."
  }
}

run "costs_are_told_apart" {
  command = plan

  assert {
    condition     = alltrue(flatten([for t in aws_launch_template.node : [for s in t.tag_specifications : s.tags["hub-environment"] == "security-hub-test"]])) && alltrue([for t in aws_launch_template.node : sort([for s in t.tag_specifications : s.resource_type]) == tolist(["instance", "volume"])])
    error_message = "Machines and their disks carry the environment's tags."
  }
  assert {
    condition     = jsondecode(aws_eks_addon.second["aws-ebs-csi-driver"].configuration_values).controller.extraVolumeTags["hub-environment"] == "security-hub-test"
    error_message = "So do the volumes that pods ask for."
  }
}

run "controllers_may_what_they_do" {
  command = plan

  assert {
    condition     = alltrue([for name in ["disks", "karpenter"] : length(setsubtract(["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext"], flatten([for s in jsondecode(aws_iam_role_policy.disks[name].policy).Statement : s.Action if s.Resource[0] == var.key_arns["cluster"]]))) == 0])
    error_message = "Who makes encrypted disks has their key: volumes, and the machines that Karpenter starts."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.certificates.policy).Statement[0].Resource[0] == "arn:aws:route53:::hostedzone/Z0000000000001" && aws_eks_pod_identity_association.this["certificates"].service_account == "cert-manager"
    error_message = "cert-manager writes to one zone."
  }
  assert {
    condition = length(setsubtract(
      ["ec2:DescribeRouteTables", "ec2:GetSecurityGroupsForVpc", "elasticloadbalancing:DescribeCapacityReservation", "iam:CreateServiceLinkedRole"],
      flatten([for s in jsondecode(aws_iam_role_policy.load_balancers.policy).Statement : s.Action]),
    )) == 0
    error_message = "The load balancer controller asks for these before it makes the first."
  }
}

run "each_workload_has_its_own_identity" {
  command = plan

  assert {
    condition     = alltrue([for name, r in aws_iam_role.workload : alltrue([for s in jsondecode(r.assume_role_policy).Statement : can(s.Condition.StringEquals)])])
    error_message = "Nobody takes a role without being the service account it is for."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.external_secrets.policy).Statement[0].Resource == ["arn:aws:secretsmanager:eu-central-1:000000000001:secret:security-hub/key-ring"]
    error_message = "Exactly the hub's secrets."
  }
  assert {
    condition     = [for s in jsondecode(aws_iam_role.workload["database-backup"].assume_role_policy).Statement : [s.Principal.Service, s.Condition.StringEquals["aws:RequestTag/kubernetes-namespace"], s.Condition.StringEquals["aws:RequestTag/kubernetes-service-account"]]] == [["pods.eks.amazonaws.com", "security-hub-data", "security-hub-db"]]
    error_message = "The database's service account, of this cluster, by one road."
  }
  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.database_backup.policy).Statement : [s.Resource[0], can(s.Condition)] if contains(s.Action, "s3:ListBucket")] == [[var.backup_bucket_arn, false]]
    error_message = "The backups' tool asks whether the bucket is there, which no condition on a prefix lets through."
  }
  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.database_backup.policy).Statement : s.Resource if contains(s.Action, "s3:GetObject")] == [["${var.backup_bucket_arn}/database/*"]]
    error_message = "The database reads and writes its own folder only."
  }
  assert {
    condition = alltrue(flatten([for p in [aws_iam_role_policy.karpenter, aws_iam_role_policy.load_balancers, aws_iam_role_policy.external_secrets, aws_iam_role_policy.database_backup, aws_iam_role_policy.disks["disks"], aws_iam_role_policy.certificates, aws_iam_role_policy.deploy, aws_iam_role_policy.publish, aws_iam_role_policy.plan] : [
      for s in jsondecode(p.policy).Statement : alltrue([for a in flatten([s.Action]) : !strcontains(a, "*")])
    ]]))
    error_message = "No wildcard among actions."
  }
  assert {
    condition = alltrue(flatten([for p in [aws_iam_role_policy.karpenter, aws_iam_role_policy.load_balancers] : [
      for s in jsondecode(p.policy).Statement : can(s.Condition) || !contains(flatten([s.Resource]), "*")
    ]]))
    error_message = "Where AWS has no resources, a condition narrows."
  }
}

run "each_job_of_the_pipeline_takes_its_own_role" {
  command = plan

  assert {
    condition = { for name, r in aws_iam_role.pipeline : name => jsondecode(r.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] } == {
      deploy  = "repo:security-hub/security-hub:environment:production"
      plan    = "repo:security-hub/security-hub:environment:production-plan"
      publish = "repo:security-hub/security-hub:ref:refs/heads/main"
    }
    error_message = "One repository, one environment or branch, no pattern."
  }
  assert {
    condition     = aws_iam_role.pipeline["deploy"].max_session_duration == 7200
    error_message = "The deploy job asks for two hours."
  }
  assert {
    condition     = aws_eks_access_entry.deploy.kubernetes_groups == toset(["security-hub-deployers"])
    error_message = "In the cluster it is a deployer and nothing more."
  }
  assert {
    condition     = flatten([for s in jsondecode(aws_iam_role_policy.deploy.policy).Statement : s.Action]) == ["eks:DescribeCluster"]
    error_message = "What deploys pushes no image."
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_iam_role_policy.plan.policy).Statement : s.Effect == "Deny" || alltrue([for a in flatten([s.Action]) : startswith(a, "s3:") || startswith(a, "kms:")])])
    error_message = "What plans changes nothing but the state's lock."
  }
  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.plan.policy).Statement : s.Resource if s.Effect == "Deny" && contains(s.Action, "secretsmanager:GetSecretValue")] == [["*"]]
    error_message = "What plans reads no secret."
  }
}

run "a_plan_reads_the_one_secret_that_it_needs" {
  command = plan
  variables {
    plan_secret_arns = ["arn:aws:secretsmanager:eu-central-1:000000000001:secret:security-hub/redis"]
  }
  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.plan.policy).Statement : join(" ", flatten([s.Effect, try(["but", s.NotResource], s.Resource)])) if contains(flatten([s.Action]), "secretsmanager:GetSecretValue")] == [
      "Deny but ${var.plan_secret_arns[0]}", "Allow ${var.plan_secret_arns[0]}",
    ]
    error_message = "That one, and no other."
  }
  assert {
    condition     = contains(flatten([for s in jsondecode(aws_iam_role_policy.plan.policy).Statement : s.Resource if s.Effect == "Allow" && contains(s.Action, "kms:Decrypt")]), var.key_arns["secrets"])
    error_message = "And opens it."
  }
}

run "old_kubernetes_is_refused" {
  command = plan
  variables {
    kubernetes_version = "1.29"
  }
  expect_failures = [var.kubernetes_version]
}

run "spot_of_one_machine_type_is_refused" {
  command = plan
  variables {
    node_pools = {
      system = { capacity = "on-demand", machines = ["m7i.large"], minimum = 2, maximum = 4 }
      burst  = { capacity = "spot", machines = ["m7i.large"], minimum = 0, maximum = 4 }
    }
  }
  expect_failures = [var.node_pools]
}

run "spot_alone_is_refused" {
  command = plan
  variables {
    node_pools = { burst = { capacity = "spot", machines = ["m7i.large", "m6i.large", "m7a.large"], minimum = 3, maximum = 8 } }
  }
  expect_failures = [var.node_pools]
}

run "a_zones_name_is_not_its_identifier" {
  command = plan
  variables {
    dns_zone_id = "hub.example.org"
  }
  expect_failures = [var.dns_zone_id]
}
