#!/usr/bin/env bash
# make plan: what would change in ENVIRONMENT's infrastructure, saved in PLANS, a folder that outlasts the job. A pipeline applies
# nothing by itself: whoever applies takes the saved plan. Fails if the plan would destroy something that keeps data.
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=${ENVIRONMENT:?production, staging or development}
place=infrastructure/terraform/environments/$environment
terraform -chdir="$place" init -input=false -backend-config="bucket=${STATE_BUCKET:?the bucket with the state}"
terraform -chdir="$place" plan -input=false -lock-timeout=5m -out=saved.tfplan
# The plan itself may hold secrets: it stays on the runner, for whoever applies it; people read the text.
if [ -n "${PLANS:-}" ]; then
  install -D -m 0600 "$place/saved.tfplan" "$PLANS/$environment-$(git rev-parse --short=12 HEAD).tfplan"
  # Terraform refuses a plan once the state went on; nobody needs those of last month.
  find "$PLANS" -name "$environment-*.tfplan" -mtime +30 -delete
fi
terraform -chdir="$place" show -no-color saved.tfplan >"$place/saved.tfplan.txt"
terraform -chdir="$place" show -json saved.tfplan | python3 -c '
import json, sys
# The cluster as well: with it go the volumes that only it knows.
keeps = ("aws_db_instance", "aws_elasticache_", "aws_s3_bucket", "aws_kms_key", "aws_kms_replica_key",
         "aws_backup_vault", "aws_secretsmanager_secret", "aws_ecr_repository", "aws_prometheus_workspace",
         "aws_cloudwatch_log_group", "aws_eks_cluster")
gone = [change["address"] for change in json.load(sys.stdin).get("resource_changes", [])
        if "delete" in change["change"]["actions"] and change["type"].startswith(keeps)]
for address in gone:
    print(f"plan: would destroy {address}, which keeps data", file=sys.stderr)
sys.exit(bool(gone))'
