-- One append-only Merkle log per tenant (RFC 9162): its head, its entries, the roots of its full subtrees.

create table ledger_head (
  tenant_id uuid not null references tenant (id),
  size bigint not null constraint ledger_head_size check (size >= 0),
  -- The roots of the complete subtrees from the largest to the smallest, 32 bytes each.
  frontier bytea not null,
  root bytea not null,
  -- The signed note over this head.
  checkpoint text not null,
  updated_at timestamptz not null,
  primary key (tenant_id)
);
call hub_protect('ledger_head');

create table ledger_entry (
  tenant_id uuid not null references tenant (id),
  idx bigint not null,
  id uuid not null,
  operation text not null,
  occurred_at timestamptz not null,
  sequenced_at timestamptz not null,
  leaf_hash bytea not null constraint ledger_entry_leaf check (length(leaf_hash) = 32),
  body text not null,
  primary key (tenant_id, idx),
  constraint ledger_entry_id_unique unique (tenant_id, id)
);
call hub_protect('ledger_entry');
revoke update, delete on ledger_entry from hub_app;
create index ledger_entry_operation on ledger_entry (tenant_id, operation, idx);

-- Nobody rewrites history by accident, not even the owner: the refusal must be dropped first, which shows.
create function ledger_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger ledger_entry_append_only before update or delete or truncate on ledger_entry
for each statement execute function ledger_is_append_only();

-- The root of every complete subtree of 256 leaves, so that a proof reads at most a few hundred hashes.
create table ledger_subtree (
  tenant_id uuid not null references tenant (id),
  idx bigint not null,
  hash bytea not null,
  primary key (tenant_id, idx)
);
call hub_protect('ledger_subtree');
revoke update, delete on ledger_subtree from hub_app;
