-- What every other migration stands on: the application's role, the wall between tenants, the directory of
-- tenants, the outbox of acts, foreign events, and the leases by which workers share the work.
-- Runs as the owner. The running hub logs in as `hub_app`, which owns nothing and cannot bypass row-level security.

do $$
begin
  if not exists (select from pg_roles where rolname = 'hub_app') then
    begin
      create role hub_app login nosuperuser nobypassrls nocreatedb nocreaterole;
    exception
      -- Roles belong to the whole cluster: another database's migration may have been quicker.
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        raise exception 'the role hub_app is missing and % may not create it', current_user
          using hint = 'as a superuser: create role hub_app login; grant hub_app to ' || quote_ident(current_user);
    end;
  end if;
  if exists (select from pg_roles where rolname = 'hub_app' and (rolsuper or rolbypassrls)) then
    raise exception 'the role hub_app can bypass row-level security'
      using hint = 'as a superuser: alter role hub_app nosuperuser nobypassrls';
  end if;
  -- So that a hub with only the owner's URL can step down (`set role hub_app`).
  if not pg_has_role(current_user, 'hub_app', 'member') then
    begin
      execute format('grant hub_app to %I', current_user);
    exception when insufficient_privilege then
      raise exception '% may not become hub_app', current_user
        using hint = 'as a superuser: grant hub_app to ' || quote_ident(current_user);
    end;
  end if;
end
$$;

-- Walls a table in: rows of the transaction's tenant only, for reading and for writing, for the owner too.
-- The setting is read in a sub-select so that it is evaluated once and not for each row (8 times quicker).
create procedure hub_protect(table_name text) language plpgsql as $$
declare
  mine constant text := 'tenant_id = (select nullif(current_setting(''app.tenant'', true), '''')::uuid)';
begin
  execute format('alter table %I enable row level security', table_name);
  execute format('alter table %I force row level security', table_name);
  execute format('create policy tenant on %I using (%s) with check (%s)', table_name, mine, mine);
  execute format('grant select, insert, update, delete on %I to hub_app', table_name);
end
$$;
revoke all on procedure hub_protect(text) from public;

-- The directory: the one table without row-level security, for it is read before the tenant is known.
create table tenant (
  id uuid primary key,
  slug text not null constraint tenant_slug_key unique
    constraint tenant_slug_form check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text not null constraint tenant_name_length check (char_length(name) between 1 and 200),
  created_at timestamptz not null,
  suspended_at timestamptz
);
grant select, insert, update on tenant to hub_app;
insert into tenant (id, slug, name, created_at)
values ('00000000-0000-7000-8000-000000000001', 'system', 'Security Hub operators', now());

-- Acts that are committed and wait for the sequencer, which empties this table in order of `position`.
create table ledger_outbox (
  tenant_id uuid not null,
  id uuid not null,
  position bigint generated always as identity,
  operation text not null,
  occurred_at timestamptz not null,
  body text not null,
  primary key (tenant_id, id)
);
create index ledger_outbox_position on ledger_outbox (tenant_id, position);
call hub_protect('ledger_outbox');

-- One acknowledged batch of foreign events; its act `events.ingest` carries the same figures into the ledger.
create table event_batch (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  received_at timestamptz not null,
  source text not null,
  accepted integer not null,
  quarantined integer not null,
  sha256 bytea not null,
  -- The sender's own name for the batch: sending it again gives the same receipt and stores nothing.
  idempotency_key text constraint event_batch_key_length check (octet_length(idempotency_key) <= 200),
  primary key (tenant_id, id),
  constraint event_batch_idempotency_key unique (tenant_id, idempotency_key)
);
call hub_protect('event_batch');

-- The events. No foreign key to the batch: they are written together, and a check per row would halve the rate.
-- `body` is text: the JSON is parsed where it is used, not while it is stored.
create table event (
  tenant_id uuid not null,
  batch_id uuid not null,
  ordinal integer not null,
  received_at timestamptz not null,
  occurred_at timestamptz not null,
  class_uid integer not null,
  product text not null,
  service text not null,
  category text,
  body text not null,
  primary key (tenant_id, batch_id, ordinal, received_at)
) partition by range (received_at);
do $$
begin
  -- Long bodies: LZ4 compresses several times quicker than PostgreSQL's own method, where it is built in.
  alter table event alter column body set compression lz4;
exception when feature_not_supported or invalid_parameter_value then null;
end
$$;
call hub_protect('event');
create table event_rest partition of event default;
call hub_protect('event_rest');
-- Partitions are reached through their parent only.
revoke all on event_rest from hub_app;

-- Makes the partitions of `days` days from `first_day` (UTC) that are missing; returns how many it made.
-- The application may call it though it owns nothing. A day whose rows already lie in the default partition stays there.
create function hub_prepare_event_days(first_day date, days integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  day date;
  part text;
  made integer := 0;
begin
  for n in 0 .. least(days, 60) - 1 loop
    day := first_day + n;
    part := 'event_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass('public.' || part) is not null;
    begin
      execute format('create table public.%I partition of public.event for values from (%L) to (%L)',
        part, day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
      call public.hub_protect(part);
      -- Partitions are reached through their parent only.
      execute format('revoke all on public.%I from hub_app', part);
      made := made + 1;
    exception when duplicate_table or check_violation then null;
    end;
  end loop;
  return made;
end
$$;
revoke all on function hub_prepare_event_days(date, integer) from public;
grant execute on function hub_prepare_event_days(date, integer) to hub_app;

-- Lines that could not be normalised, kept for the operator to read.
create table quarantine (
  tenant_id uuid not null,
  batch_id uuid not null,
  ordinal integer not null,
  line bigint not null,
  reason text not null,
  -- At most 8 KiB of the line.
  raw text not null constraint quarantine_raw_length check (octet_length(raw) <= 8192),
  received_at timestamptz not null,
  primary key (tenant_id, batch_id, ordinal),
  foreign key (tenant_id, batch_id) references event_batch (tenant_id, id) on delete cascade
);
call hub_protect('quarantine');

-- Which worker does a partition of a tenant's work, until when by the database's clock. `epoch` grows with every
-- change of hands, so that a worker that slept past its lease can be told from its successor.
create table worker_lease (
  tenant_id uuid not null references tenant (id),
  partition text not null,
  owner text not null,
  epoch bigint not null,
  until timestamptz not null,
  primary key (tenant_id, partition)
);
call hub_protect('worker_lease');
