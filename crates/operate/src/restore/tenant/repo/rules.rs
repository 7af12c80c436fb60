//! What a merge may take of each table. Revocations win: nothing that was ended, locked, narrowed or spent since the backup
//! comes back to life because a whole table was taken.

/// What may be done with a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::restore::tenant) enum May {
    /// Nothing: they are only compared.
    Compare,
    /// Rows that are missing are added; none is changed.
    Add,
    /// Rows that differ may be put back, too.
    Replace,
}

/// One table's rule.
#[derive(Debug, Clone, Copy)]
pub(in crate::restore::tenant) struct Rule {
    pub(in crate::restore::tenant) may: May,
    /// Why no more than that.
    pub(in crate::restore::tenant) why: &'static str,
    /// SQL over `b` (the backup's row) and `l` (the live one, null if missing): why this row is only taken by a decision of
    /// its own, or null.
    pub(super) own: &'static str,
    /// Columns of a row that differs which stay as they are unless the row has a decision of its own.
    pub(super) kept: &'static [&'static str],
}

const LEDGER: &str = "the ledger of now remains the truth; it is never rewritten";
const EVENTS: &str =
    "what was removed since, a retention policy removed; what was not is still there";
const ENDED: &str = "a session or one-time secret that is gone stays gone: people sign in again";
const SETTLED: &str = "what was recorded is never edited; what is missing may be added";

const ALL: Rule = Rule {
    may: May::Replace,
    why: "",
    own: "null::text",
    kept: &[],
};

const fn compare(why: &'static str) -> Rule {
    Rule {
        may: May::Compare,
        why,
        ..ALL
    }
}

const fn add(why: &'static str) -> Rule {
    Rule {
        may: May::Add,
        why,
        ..ALL
    }
}

const USER: Rule = Rule {
    own: "case when l.id is null and exists (select from pg_temp.since s where s.uid = b.id::text
            and s.operation in ('user.lock', 'password.change', 'password.reset'))
          then 'locked, or given another password, since the backup' end",
    kept: &[
        "password_phc",
        "password_changed_at",
        "locked_at",
        "lock_reason",
    ],
    ..ALL
};

const KEY: Rule = Rule {
    own: "case when b.revoked_at is null and coalesce(b.expires_at > now(), true)
          then 'it would open the hub again' end",
    ..ALL
};

const ROLE: Rule = Rule {
    own: "case when l.name is not null then 'its permissions were changed since the backup'
          when exists (select from pg_temp.since s where s.uid = b.name and s.operation = 'role.update')
          then 'its permissions were changed since the backup, before it went' end",
    ..ALL
};

/// A grant comes back with the person or the role that it went with; else somebody took it away.
const GRANT: Rule = Rule {
    own: "case when exists (select from pg_temp.since s where s.uid = b.user_id::text and s.operation = 'role.assign')
          then 'the person''s roles were changed since the backup'
          when exists (select from public.app_user u where u.tenant_id = b.tenant_id and u.id = b.user_id)
            and (exists (select from public.role r where r.tenant_id = b.tenant_id and r.name = b.role)
              or not exists (select from {copy}.role r where r.tenant_id = b.tenant_id and r.name = b.role))
          then 'the role was taken from somebody who is still there' end",
    ..add("a grant has nothing that could differ but its time")
};

const ACTION: Rule = Rule {
    own: "case when b.state in ('pending', 'applying', 'applied') then 'it would be carried out, or taken back, again' end",
    ..add(SETTLED)
};

const NOTICE: Rule = Rule {
    own: "case when b.state in ('pending', 'sending') then 'it would be sent again' end",
    ..add(SETTLED)
};

/// Of a table without a rule.
pub(in crate::restore::tenant) const UNKNOWN: Rule =
    compare("nobody has said yet what may be taken of it");

/// `None`: a table that nobody has thought about yet, which is only compared.
pub(in crate::restore::tenant) fn of(table: &str) -> Option<Rule> {
    Some(match table {
        "tenant" => compare("the directory is changed in the hub"),
        "ledger_head" | "ledger_entry" | "ledger_subtree" | "ledger_outbox" => compare(LEDGER),
        "event" | "event_batch" | "quarantine" => compare(EVENTS),
        "session" | "refresh_token" | "password_reset" | "enrolment" => compare(ENDED),
        "worker_lease" => compare("it says who works now"),
        "detect_cursor" | "incident_counter" => {
            add("set back, work would be done and numbers given twice")
        }
        "finding" | "incident_timeline" | "incident_finding" | "evidence" | "operation"
        | "address_block" | "runbook_run" | "runbook_line" | "runbook_answer" | "runbook_note" => {
            add(SETTLED)
        }
        "legal_hold" => add("a hold that was released stays released"),
        "response_action" => ACTION,
        "notification" => NOTICE,
        "app_user" => USER,
        "api_key" => KEY,
        "role" => ROLE,
        "user_role" => GRANT,
        "incident" | "incident_entity" | "named_location" | "protected_entity"
        | "profile_source" | "profile_device" | "profile_place" | "profile_session" => ALL,
        _ => return None,
    })
}

/// The rule of a tenant that is not there at all: its ledger and its events come back with it, what lets people in does not.
pub(in crate::restore::tenant) fn of_a_lost_tenant(table: &str) -> Option<Rule> {
    match table {
        "tenant" | "ledger_head" | "ledger_entry" | "ledger_subtree" | "ledger_outbox"
        | "event" | "event_batch" | "quarantine" => Some(add(SETTLED)),
        _ => of(table),
    }
}
