#!/bin/sh
# Ready: it answers as the user that may do nothing else.
set -eu
REDISCLI_AUTH=$(cat /run/secrets/redis/probe-password)
export REDISCLI_AUTH
answer=$(redis-cli --tls --cacert /run/secrets/tls/ca.crt --user probe --no-auth-warning ping)
[ "$answer" = PONG ]
