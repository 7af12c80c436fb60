#!/bin/sh
# First start of PostgreSQL: the owner of the tables, and the role the hub serves with, which owns nothing and cannot
# step past row-level security. Their passwords come as files and go in as psql variables, not on a command line.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set owner_password `cat /run/secrets/hub_owner_password`
\set app_password `cat /run/secrets/hub_app_password`
create role hub_owner login nosuperuser nobypassrls nocreatedb nocreaterole password :'owner_password';
create role hub_app login nosuperuser nobypassrls nocreatedb nocreaterole password :'app_password';
grant hub_app to hub_owner;
alter database hub owner to hub_owner;
alter schema public owner to hub_owner;
revoke create on schema public from public;
select 'create extension if not exists ' || name from pg_available_extensions where name = 'timescaledb' \gexec
create extension if not exists pg_stat_statements;
SQL
