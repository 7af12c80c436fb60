#!/usr/bin/env bash
# install.sh PLACE [--dry-run]: what must be in a cluster before the overlay of PLACE: the controllers of versions.tsv by helm, each at its
# version and with its values, and then what nodes Karpenter may add (overlays/PLACE). Again, after a version was raised here.
# CLUSTER_NAME, QUEUE, NETWORK_ID, AWS_REGION: Terraform's outputs `pipeline.cluster_name`, `platform.karpenter.queue`,
# `platform.network_id` and `overlay.region`. --dry-run prints the commands.
set -euo pipefail
cd "$(dirname "$0")"
place=${1:-}
if [ -z "$place" ] || [ ! -d "overlays/$place" ] || [ "${2:---dry-run}" != --dry-run ]; then
  printf 'usage: %s production|staging|development [--dry-run]\n' "$0" >&2
  exit 2
fi
: "${CLUSTER_NAME:?of Terraform\'s output pipeline}" "${QUEUE:?of Terraform\'s output platform.karpenter}"
: "${NETWORK_ID:?of Terraform\'s output platform}" "${AWS_REGION:?of Terraform\'s output overlay}"
run=("${HELM:-helm}") apply=(kubectl)
[ "${2:-}" != --dry-run ] || run=(echo helm) apply=(echo kubectl)
while IFS=$'\t' read -r release chart version repository namespace; do
  case $release in '#'*) continue ;; esac
  more=()
  [ "$repository" = - ] || more+=(--repo "$repository")
  case $release in
    karpenter) more+=(--set "settings.clusterName=$CLUSTER_NAME" --set "settings.interruptionQueue=$QUEUE") ;;
    aws-load-balancer-controller)
      # It cannot ask the machine where it is: one hop. And what it makes is told apart by its costs.
      more+=(--set "clusterName=$CLUSTER_NAME" --set "region=$AWS_REGION" --set "vpcId=$NETWORK_ID"
        --set "defaultTags.hub-environment=$CLUSTER_NAME")
      ;;
  esac
  "${run[@]}" upgrade --install "$release" "$chart" --version "$version" --namespace "$namespace" --create-namespace \
    --values "values/$release.yaml" --atomic --timeout 10m "${more[@]}" </dev/null
done <versions.tsv
"${apply[@]}" apply --server-side --field-manager=security-hub-platform -k "overlays/$place"
