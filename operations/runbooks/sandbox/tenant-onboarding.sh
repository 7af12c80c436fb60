# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A hub that does not know the customer yet.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
TENANT=brightwater
NAME=Brightwater
OWNER=bea
EMAIL=bea@brightwater.example
TOKEN=operator.token
