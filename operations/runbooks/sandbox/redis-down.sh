# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# A hub, and a Redis as it is shipped, which is down.
. "$(dirname "${BASH_SOURCE[0]}")/default.sh"
shipped=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../../infrastructure/docker/config/redis.conf")
port=$(free_port)
REDIS=127.0.0.1:$port
REDIS_USER=ops
REDIS_AUTH=$PWD/redis.pass
REDIS_LOG=$PWD/redis-server.out
password "$REDIS_AUTH"
mkdir redis
printf 'user default on nopass -@all +ping\nuser ops on >%s ~* &* +@all\n' "$(cat "$REDIS_AUTH")" >redis.acl
sed -e '/^aclfile /d' -e '/^dir /d' -e '/^bind /d' "$shipped" >redis.conf
cat >units/redis-server <<UNIT
exec redis-server $PWD/redis.conf --bind 127.0.0.1 --port $port --dir $PWD/redis --aclfile $PWD/redis.acl
UNIT
: >"$REDIS_LOG"
