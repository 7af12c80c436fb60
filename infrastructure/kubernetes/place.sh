#!/usr/bin/env bash
# Prints an overlay's place.yaml from what Terraform made:
#   terraform output -json overlay | ./place.sh >overlays/production/place.yaml
set -euo pipefail
cat <<'YAML'
# What Terraform made for this place: `terraform output -json overlay`, as ../../place.sh writes it. Which value goes where:
# ../../components/place, cluster-data and managed-data. Zeros and account numbers are placeholders. Not sent to the cluster.
apiVersion: v1
kind: ConfigMap
metadata:
  name: place
  annotations: {config.kubernetes.io/local-config: "true"}
data:
YAML
python3 -c '
import json, sys
for name, value in sorted(json.load(sys.stdin).items()):
    print(f"  {name}: {json.dumps(value)}")'
