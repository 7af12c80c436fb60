-- 0006_respond: incidents, their timeline, response actions, evidence, blocked addresses, notifications.

-- One row per tenant: gives incidents their numbers, and its lock puts correlation in one order.
create table incident_counter (
    tenant_id uuid primary key references tenant (id),
    last bigint not null default 0
);
call hub_protect('incident_counter');

create table incident (
    tenant_id uuid not null references tenant (id),
    id uuid not null,
    number bigint not null,
    title text not null,
    severity smallint not null check (severity between 1 and 5),
    status text not null check (status in ('new', 'triaged', 'contained', 'eradicated', 'recovered', 'closed')),
    verdict text check (verdict in ('false_positive', 'true_positive', 'disregard', 'suspicious', 'benign', 'test',
        'insufficient_data', 'security_risk', 'managed_externally', 'duplicate')),
    primary_kind text not null,
    primary_value text not null,
    primary_name text,
    techniques text[] not null,
    finding_count bigint not null default 0,
    first_activity_at timestamptz not null,
    last_activity_at timestamptz not null,
    detected_at timestamptz not null,
    opened_at timestamptz not null,
    acknowledged_at timestamptz,
    contained_at timestamptz,
    eradicated_at timestamptz,
    recovered_at timestamptz,
    closed_at timestamptz,
    primary key (tenant_id, id),
    constraint incident_number unique (tenant_id, number)
);
create index incident_open on incident (tenant_id, last_activity_at) where status <> 'closed';
call hub_protect('incident');

create table incident_entity (
    tenant_id uuid not null,
    incident_id uuid not null,
    kind text not null,
    value text not null,
    name text,
    role text not null check (role in ('primary', 'attacker', 'compromised', 'target')),
    first_seen_at timestamptz not null,
    primary key (tenant_id, incident_id, kind, value),
    foreign key (tenant_id, incident_id) references incident (tenant_id, id)
);
create index incident_entity_value on incident_entity (tenant_id, kind, value);
call hub_protect('incident_entity');

-- The finding as it was when it was attached: an incident stays readable whatever becomes of the finding.
create table incident_finding (
    tenant_id uuid not null,
    finding_id uuid not null,
    incident_id uuid not null,
    attached_at timestamptz not null,
    body jsonb not null,
    primary key (tenant_id, finding_id),
    foreign key (tenant_id, incident_id) references incident (tenant_id, id)
);
create index incident_finding_incident on incident_finding (tenant_id, incident_id);
call hub_protect('incident_finding');

create table incident_timeline (
    tenant_id uuid not null,
    id bigint generated always as identity,
    incident_id uuid not null,
    at timestamptz not null,
    kind text not null check (kind in ('finding', 'action', 'status', 'note', 'evidence', 'notification')),
    actor text not null,
    body text not null,
    techniques text[] not null default '{}',
    primary key (tenant_id, id),
    foreign key (tenant_id, incident_id) references incident (tenant_id, id)
);
create index incident_timeline_incident on incident_timeline (tenant_id, incident_id, id);
call hub_protect('incident_timeline');

create table response_action (
    tenant_id uuid not null,
    id uuid not null,
    incident_id uuid not null,
    kind text not null check (kind in ('preserve_evidence', 'block_address', 'lock_account', 'end_sessions',
        'revoke_api_key', 'notify')),
    -- 0 evidence, 1 containment, 2 notification: the order in which an incident's actions are taken.
    phase smallint not null check (phase between 0 and 2),
    target_kind text not null,
    target text not null,
    target_name text,
    playbook text,
    manual boolean not null default false,
    reason text not null,
    ttl_ms bigint check (ttl_ms > 0),
    state text not null check (state in ('pending', 'applying', 'applied', 'released', 'skipped', 'failed')),
    attempts integer not null default 0,
    not_before timestamptz not null,
    leased_until timestamptz,
    error text,
    effect jsonb not null default '{}',
    requested_at timestamptz not null,
    applied_at timestamptz,
    until timestamptz,
    released_at timestamptz,
    release_cause text check (release_cause in ('operator', 'expiry')),
    primary key (tenant_id, id),
    constraint response_action_once unique (tenant_id, incident_id, kind, target_kind, target),
    foreign key (tenant_id, incident_id) references incident (tenant_id, id)
);
create index response_action_due on response_action (tenant_id, not_before) where state in ('pending', 'applying');
create index response_action_until on response_action (tenant_id, until) where state = 'applied' and until is not null;
create index response_action_target on response_action (tenant_id, kind, target) where state = 'applied';
call hub_protect('response_action');

create table address_block (
    tenant_id uuid not null,
    id uuid not null,
    action_id uuid not null,
    incident_id uuid not null,
    network text not null check (network::cidr is not null),
    reason text not null,
    created_at timestamptz not null,
    until timestamptz,
    released_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, action_id) references response_action (tenant_id, id)
);
create unique index address_block_action on address_block (tenant_id, action_id) where released_at is null;
call hub_protect('address_block');

create table protected_entity (
    tenant_id uuid not null references tenant (id),
    id uuid not null,
    kind text not null check (kind in ('user', 'address', 'api_key')),
    value text not null,
    reason text not null,
    added_by text not null,
    added_at timestamptz not null,
    primary key (tenant_id, id),
    constraint protected_entity_once unique (tenant_id, kind, value)
);
call hub_protect('protected_entity');

create table evidence (
    tenant_id uuid not null,
    id uuid not null,
    incident_id uuid not null,
    action_id uuid not null,
    collected_at timestamptz not null,
    format text not null,
    size bigint not null check (size <= 4194304),
    sha256 bytea not null check (length(sha256) = 32),
    complete boolean not null,
    items jsonb not null,
    bundle bytea not null,
    primary key (tenant_id, id),
    constraint evidence_action unique (tenant_id, action_id),
    foreign key (tenant_id, incident_id) references incident (tenant_id, id)
);
create index evidence_incident on evidence (tenant_id, incident_id);
call hub_protect('evidence');

create table notification (
    tenant_id uuid not null,
    id uuid not null,
    incident_id uuid not null,
    action_id uuid not null,
    channel text not null check (channel in ('webhook', 'email', 'none')),
    state text not null check (state in ('pending', 'sending', 'sent', 'failed', 'not_configured')),
    payload text not null,
    attempts integer not null default 0,
    not_before timestamptz not null,
    leased_until timestamptz,
    error text,
    created_at timestamptz not null,
    sent_at timestamptz,
    primary key (tenant_id, id),
    constraint notification_once unique (tenant_id, action_id, channel),
    foreign key (tenant_id, incident_id) references incident (tenant_id, id)
);
create index notification_due on notification (tenant_id, not_before) where state in ('pending', 'sending');
call hub_protect('notification');

-- Nothing in a timeline is ever edited, and evidence never changes: corrections are new entries.
revoke update, delete on incident_timeline, evidence, incident_finding from hub_app;
