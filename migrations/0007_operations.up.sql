-- What was done to the installation itself: deploys and their ways back, each step with its figures.
create table operation (
    tenant_id uuid not null references tenant (id),
    id uuid not null,
    kind text not null check (kind in ('deploy', 'rollback')),
    subject text not null,
    outcome text not null,
    why text,
    began_at timestamptz not null,
    ended_at timestamptz not null,
    steps jsonb not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, id)
);
create index operation_began on operation (tenant_id, began_at desc, id desc);
call hub_protect('operation');

-- What was done stays done.
revoke update, delete on operation from hub_app;
