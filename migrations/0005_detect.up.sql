-- 0005_detect: findings, the detection worker's position, what behaviour models have learned, named locations.

create table finding (
    tenant_id uuid not null references tenant (id),
    id uuid not null,
    rule text not null,
    title text not null,
    severity smallint not null constraint finding_severity check (severity between 1 and 5),
    techniques text[] not null,
    tactics text[] not null,
    primary_kind text not null,
    primary_value text not null,
    primary_name text,
    entities jsonb not null,
    events text[] not null,
    first_event_at timestamptz not null,
    last_event_at timestamptz not null,
    detected_at timestamptz not null,
    count bigint not null,
    authors text,
    dedup_key text not null,
    summary text not null,
    primary key (tenant_id, id),
    constraint finding_once unique (tenant_id, dedup_key)
);
call hub_protect('finding');
revoke update, delete on finding from hub_app;

-- How far detection has read: the last ledger entry, and within a batch of events the last ordinal.
create table detect_cursor (
    tenant_id uuid primary key references tenant (id),
    -- All entries up to this index are done; -1 at the start.
    entry_idx bigint not null,
    -- Of the entry after it, an ingested batch, all events below this ordinal are done.
    ordinal integer not null,
    updated_at timestamptz not null
);
call hub_protect('detect_cursor');

-- From where a user or key has succeeded: an address or a named location.
create table profile_source (
    tenant_id uuid not null references tenant (id),
    subject text not null,
    source text not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    -- The subject's very first source, trusted from the start.
    is_first boolean not null,
    primary key (tenant_id, subject, source)
);
create index profile_source_recent on profile_source (tenant_id, last_seen_at desc);
call hub_protect('profile_source');

create table profile_device (
    tenant_id uuid not null references tenant (id),
    subject text not null,
    device text not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    is_first boolean not null,
    primary key (tenant_id, subject, device)
);
create index profile_device_recent on profile_device (tenant_id, last_seen_at desc);
call hub_protect('profile_device');

-- Where a user last succeeded from.
create table profile_place (
    tenant_id uuid not null references tenant (id),
    subject text not null,
    latitude double precision not null,
    longitude double precision not null,
    last_seen_at timestamptz not null,
    primary key (tenant_id, subject)
);
create index profile_place_recent on profile_place (tenant_id, last_seen_at desc);
call hub_protect('profile_place');

-- How a session began.
create table profile_session (
    tenant_id uuid not null references tenant (id),
    session text not null,
    address text not null,
    user_agent text not null,
    last_seen_at timestamptz not null,
    primary key (tenant_id, session)
);
create index profile_session_recent on profile_session (tenant_id, last_seen_at desc);
call hub_protect('profile_session');

create table named_location (
    tenant_id uuid not null references tenant (id),
    name text not null constraint named_location_name check (char_length(name) between 1 and 100),
    cidrs text[] not null,
    country text not null,
    city text not null,
    latitude double precision not null constraint named_location_latitude check (latitude between -90 and 90),
    longitude double precision not null constraint named_location_longitude check (longitude between -180 and 180),
    kind text not null constraint named_location_kind check (kind in ('office', 'vpn', 'mobile', 'other')),
    trusted boolean not null,
    primary key (tenant_id, name)
);
call hub_protect('named_location');
