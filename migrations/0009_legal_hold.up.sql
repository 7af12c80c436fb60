-- What must not be removed while a matter is open, whatever the retention policy says.
create table legal_hold (
  -- Who placed it: a tenant for itself, or the operators.
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  -- The tenant that it covers; null: all of them, and the installation's own files. Only operators cover others.
  covers uuid,
  reason text not null constraint legal_hold_reason check (char_length(reason) between 1 and 500),
  placed_by text not null,
  placed_at timestamptz not null,
  released_at timestamptz,
  released_by text,
  release_reason text,
  primary key (tenant_id, id)
);
call hub_protect('legal_hold');
-- A hold is released, never forgotten.
revoke delete on legal_hold from hub_app;
