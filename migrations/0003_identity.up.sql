-- People, their sessions and tokens, programs' keys.

create table app_user (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  username text not null constraint app_user_username_form check (username = lower(username) and char_length(username) between 1 and 128),
  email text not null constraint app_user_email_length check (char_length(email) between 3 and 254),
  display_name text not null constraint app_user_display_name_length check (char_length(display_name) between 1 and 200),
  -- PHC string of Argon2id.
  password_phc text not null,
  password_changed_at timestamptz not null,
  created_at timestamptz not null,
  locked_at timestamptz,
  lock_reason text,
  primary key (tenant_id, id),
  constraint app_user_username_unique unique (tenant_id, username)
);
call hub_protect('app_user');

create table session (
  tenant_id uuid not null,
  id uuid not null,
  user_id uuid not null,
  secret_hash bytea not null,
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  end_reason text,
  address text,
  user_agent text,
  device text,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references app_user (tenant_id, id)
);
call hub_protect('session');
create index session_by_user on session (tenant_id, user_id, created_at);

-- Every refresh token of a session's chain: one that is used a second time betrays a theft.
create table refresh_token (
  tenant_id uuid not null,
  hash bytea not null,
  session_id uuid not null,
  issued_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, hash),
  foreign key (tenant_id, session_id) references session (tenant_id, id)
);
call hub_protect('refresh_token');

create table api_key (
  tenant_id uuid not null references tenant (id),
  id uuid not null,
  name text not null constraint api_key_name_length check (char_length(name) between 1 and 200),
  secret_hash bytea not null,
  scopes text[] not null,
  created_by uuid,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  revoke_reason text,
  primary key (tenant_id, id)
);
call hub_protect('api_key');
create index api_key_by_creator on api_key (tenant_id, created_by, created_at);

create table password_reset (
  tenant_id uuid not null,
  hash bytea not null,
  user_id uuid not null,
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, hash),
  foreign key (tenant_id, user_id) references app_user (tenant_id, id)
);
call hub_protect('password_reset');

-- The one-time secrets by which the first administrator enrols.
create table enrolment (
  tenant_id uuid not null references tenant (id),
  hash bytea not null,
  issued_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, hash)
);
call hub_protect('enrolment');
