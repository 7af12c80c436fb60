# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A hub with backups.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
DATA=$HUB_DATA_DIR
TOKEN=operator.token
hubctl backup run --data-dir "$DATA" --recovery-key recovery.key
