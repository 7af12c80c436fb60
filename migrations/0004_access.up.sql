-- Roles of a tenant's own making, and who holds which role.

create table role (
  tenant_id uuid not null references tenant (id),
  name text not null constraint role_name_form check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  permissions text[] not null,
  updated_at timestamptz not null,
  primary key (tenant_id, name)
);
call hub_protect('role');

create table user_role (
  tenant_id uuid not null,
  user_id uuid not null,
  role text not null,
  granted_at timestamptz not null,
  primary key (tenant_id, user_id, role),
  foreign key (tenant_id, user_id) references app_user (tenant_id, id)
);
call hub_protect('user_role');
