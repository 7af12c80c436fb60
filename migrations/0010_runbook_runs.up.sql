-- Runs of runbooks while they go on, so that several people see them and answer: the lines of each run's journal as `hubctl` tells
-- them, and what people say to it in the console.
create table runbook_run (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  runbook text not null,
  title text not null,
  -- The whole file as it was when the run began.
  book text not null,
  sha256 text not null,
  -- Who leads it now.
  leader text not null,
  -- Who tells of it, by kind and id: nobody else speaks for the people at the terminal.
  teller text not null,
  incident text,
  began_at timestamptz not null,
  told_at timestamptz not null,
  -- Lines of its journal that were told.
  lines integer not null,
  -- Where it stands, such as `3.2`; its outcome once it is over.
  standing text not null,
  outcome text,
  ended_at timestamptz,
  -- Goes up with everything that is told, answered or noted: whoever watches looks again.
  version bigint not null default 0,
  primary key (tenant_id, id)
);
create index runbook_run_began on runbook_run (tenant_id, began_at desc, id desc);
call hub_protect('runbook_run');
revoke delete on runbook_run from hub_app;

create table runbook_line (
  tenant_id uuid not null,
  run_id uuid not null,
  number integer not null,
  at timestamptz not null,
  who text not null,
  -- Who told it, by kind and id.
  actor text not null,
  event jsonb not null,
  -- The end of what a command said.
  output text,
  primary key (tenant_id, run_id, number),
  foreign key (tenant_id, run_id) references runbook_run (tenant_id, id)
);
call hub_protect('runbook_line');

-- One answer to one item each time that its section is gone through: who is first counts.
create table runbook_answer (
  tenant_id uuid not null,
  run_id uuid not null,
  -- The line of the journal since which the run is in that section.
  entered integer not null,
  section integer not null,
  item integer not null,
  -- The answer's word; null: it is done.
  choice text,
  who text not null,
  -- Who answered or told the answer, by kind and id.
  actor text not null,
  at timestamptz not null,
  primary key (tenant_id, run_id, entered, section, item),
  foreign key (tenant_id, run_id) references runbook_run (tenant_id, id)
);
call hub_protect('runbook_answer');

create table runbook_note (
  tenant_id uuid not null,
  run_id uuid not null,
  number integer not null,
  id uuid not null,
  said text not null constraint runbook_note_said check (char_length(said) between 1 and 2000),
  who text not null,
  actor text not null,
  at timestamptz not null,
  primary key (tenant_id, run_id, number),
  foreign key (tenant_id, run_id) references runbook_run (tenant_id, id)
);
call hub_protect('runbook_note');

-- What was done and said stays so.
revoke update, delete on runbook_line, runbook_answer, runbook_note from hub_app;

-- Removes at most `most` runs of a tenant of which nothing was told since `until`, by our clock, and gives their ids. The application
-- may remove nothing of a run otherwise, and nothing that was told within a day so either.
create function hub_forget_runbook_runs(tenant uuid, until timestamptz, most bigint) returns setof uuid
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
  with due as (
    select r.id from public.runbook_run r
    where r.tenant_id = tenant and tenant = nullif(current_setting('app.tenant', true), '')::uuid
      and r.told_at < least(until, now() - interval '1 day')
    order by r.id limit most for update skip locked),
  lines as (delete from public.runbook_line l using due where l.tenant_id = tenant and l.run_id = due.id),
  answers as (delete from public.runbook_answer a using due where a.tenant_id = tenant and a.run_id = due.id),
  notes as (delete from public.runbook_note n using due where n.tenant_id = tenant and n.run_id = due.id)
  delete from public.runbook_run r using due where r.tenant_id = tenant and r.id = due.id returning r.id
$$;
revoke all on function hub_forget_runbook_runs(uuid, timestamptz, bigint) from public;
grant execute on function hub_forget_runbook_runs(uuid, timestamptz, bigint) to hub_app;
