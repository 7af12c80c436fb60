#!/bin/sh
# Run by Patroni once, on the first node: roles.sh FOLDER CONNECTION. The owner of the tables, and the role the hub serves with, which
# owns nothing and cannot step past row-level security. Their passwords come as files of FOLDER and go in as psql variables, not on
# a command line. The owner may make logins, for `hubctl keys rotate database`.
set -eu
export HUB_OWNER_PASSWORD_FILE="$1/hub_owner_password" HUB_APP_PASSWORD_FILE="$1/hub_app_password"
for file in "$HUB_OWNER_PASSWORD_FILE" "$HUB_APP_PASSWORD_FILE"; do
  [ -s "$file" ] || { echo "roles.sh: $file is missing or empty" >&2; exit 1; }
done
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$2" <<'SQL'
\set owner_password `cat "$HUB_OWNER_PASSWORD_FILE"`
\set app_password `cat "$HUB_APP_PASSWORD_FILE"`
create role hub_owner login nosuperuser nobypassrls nocreatedb createrole password :'owner_password';
create role hub_app login nosuperuser nobypassrls nocreatedb nocreaterole password :'app_password';
grant hub_app to hub_owner;
create database hub owner hub_owner;
\connect hub
alter schema public owner to hub_owner;
revoke create on schema public from public;
SQL
