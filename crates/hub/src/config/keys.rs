//! Every key that exists, in one table: its name, its default, what it is for. Nothing else may be configured.

/// One key. Its environment name is `HUB_` and the name in capitals with `_` for `.`.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// As a person would write it; empty means "not set".
    pub(super) default: &'static str,
    pub(super) about: &'static str,
    /// Never printed.
    pub(super) secret: bool,
}

const fn key(name: &'static str, default: &'static str, about: &'static str) -> Key {
    Key {
        name,
        default,
        about,
        secret: false,
    }
}

const fn secret(name: &'static str, about: &'static str) -> Key {
    Key {
        name,
        default: "",
        about,
        secret: true,
    }
}

pub(super) const KEYS: &[Key] = &[
    key(
        "listen",
        "127.0.0.1:8005",
        "address and port to serve on; port 0 takes a free one",
    ),
    key(
        "data_dir",
        "./security-hub-data",
        "key ring and private database; mode 0700",
    ),
    key(
        "keys_file",
        "",
        "key ring handed in from outside, read-only, the same for all replicas; unset makes one in `data_dir`",
    ),
    key(
        "public_url",
        "",
        "how people reach the hub; default is made from `listen`",
    ),
    secret(
        "database.url",
        "PostgreSQL for the role hub_app; unset runs a private cluster (also DATABASE_URL)",
    ),
    secret(
        "database.owner_url",
        "the role that owns the tables, for migrations",
    ),
    key("database.pool", "16", "connections at most"),
    key(
        "database.migrate",
        "true",
        "migrate on start (needs the owner); otherwise `security-hub migrate`",
    ),
    key(
        "tls.cert",
        "",
        "PEM file with the certificate chain; read again when it changes, or on SIGHUP",
    ),
    key("tls.key", "", "PEM file with the private key"),
    key(
        "trusted_proxies",
        "",
        "networks whose forwarding header is believed",
    ),
    key(
        "trusted_header",
        "x-forwarded-for",
        "the one header that the trusted proxies write: x-forwarded-for or forwarded (RFC 7239)",
    ),
    key("limits.connections", "20000", "open connections at most"),
    key(
        "limits.connections_per_address",
        "512",
        "open connections from one address at most",
    ),
    key(
        "limits.header_timeout",
        "10s",
        "until the first byte and the whole head of a request have come",
    ),
    key(
        "limits.idle_timeout",
        "60s",
        "a kept connection without a request is closed after this",
    ),
    key(
        "limits.stall_timeout",
        "60s",
        "for a client that does not take what it asked for",
    ),
    key(
        "limits.request_timeout",
        "30s",
        "until a request is answered",
    ),
    key("limits.body", "1048576", "bytes of a request body at most"),
    key(
        "limits.ingest_body",
        "33554432",
        "bytes of an event batch at most",
    ),
    key(
        "limits.requests_per_second",
        "500",
        "of one credential, or of one address without one, in the long run",
    ),
    key("limits.burst", "2000", "requests that may come at once"),
    key(
        "shutdown.drain",
        "25s",
        "for requests in progress when stopping",
    ),
    key(
        "log.format",
        "auto",
        "`json`, `text`, or `auto`: text on a terminal",
    ),
    key(
        "log.level",
        "info",
        "a level, or directives such as `info,security_hub=debug`",
    ),
    key(
        "metrics.loopback",
        "false",
        "serve /metrics and /health to loopback without a credential",
    ),
    key(
        "content.rules",
        "",
        "folder of Sigma rules that replace or join the built-in ones",
    ),
    key(
        "content.foreign_rules",
        "",
        "folder of other people's Sigma rules to run as well",
    ),
    key(
        "content.playbooks",
        "",
        "folder of playbooks that replace or join the built-in ones",
    ),
    key(
        "content.retention",
        "",
        "TOML file that says how long what is kept, instead of the built-in one",
    ),
    key(
        "hash.threads",
        "0",
        "threads for password hashing; 0 is one per processor",
    ),
    key("hash.queue", "256", "password checks that may wait"),
    key(
        "respond.protected_addresses",
        "127.0.0.1/32,::1/128",
        "never blocked automatically",
    ),
    key(
        "respond.attempts",
        "6",
        "tries of an action before it is shown as failed",
    ),
    secret("respond.webhook.url", "receiver of incident summaries"),
    secret(
        "respond.webhook.secret",
        "signs each message; at least 16 characters",
    ),
    key(
        "respond.webhook.plain_http_hosts",
        "",
        "hosts that may be reached without TLS",
    ),
    key(
        "respond.webhook.timeout",
        "10s",
        "until the receiver has answered",
    ),
    key("respond.email.host", "", "mail server; unset sends no mail"),
    key("respond.email.port", "465", "its port"),
    key(
        "respond.email.tls",
        "required",
        "`required`, `starttls` or `none` (loopback only)",
    ),
    key(
        "respond.email.username",
        "",
        "to sign in at the mail server",
    ),
    secret("respond.email.password", "to sign in at the mail server"),
    key("respond.email.from", "", "sender"),
    key("respond.email.to", "", "receivers"),
    key(
        "respond.email.timeout",
        "10s",
        "until the mail server has taken it",
    ),
];

/// `HUB_…` variables that belong to other commands and are none of the server's keys.
pub(super) const NOT_OURS: &[&str] = &[
    "HUB_CONFIG",
    "HUB_URL",
    "HUB_TOKEN",
    "HUB_SHARED_DATA",
    "HUB_BIN",
    "HUB_DEPLOY_CONFIG",
    "HUB_BACKUP_CONFIG",
    "HUB_KEYS_CONFIG",
    "HUB_CLEANUP_CONFIG",
    "HUB_NOTIFY_CONFIG",
    "HUB_PAIR_CONFIG",
    "HUB_RUNBOOKS",
    "HUB_RUNBOOK_STATE",
    "HUB_TOKEN_FILE",
];

impl Key {
    pub(super) fn env(&self) -> String {
        format!("HUB_{}", self.name.to_uppercase().replace('.', "_"))
    }
}

pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that an environment variable sets.
pub(super) fn of_variable(variable: &str) -> Option<&'static Key> {
    if variable == "DATABASE_URL" {
        return find("database.url");
    }
    KEYS.iter().find(|key| key.env() == variable)
}

/// The names most like a mistyped one, best first, at most three.
pub(super) fn nearest(wrong: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let mut ranked: Vec<(usize, String)> = names
        .map(|name| (distance(wrong, &name), name))
        .filter(|(far, name)| *far <= name.len().max(wrong.len()) / 2)
        .collect();
    ranked.sort();
    ranked.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((b, pair), left_cell) in right.iter().zip(row.windows(2)).zip(0..) {
            let (diagonal, above) = (pair.first().copied(), pair.last().copied());
            let before: usize = next
                .get::<usize>(left_cell)
                .copied()
                .unwrap_or(usize::MAX - 1);
            let changed = diagonal.unwrap_or(0) + usize::from(a != *b);
            next.push(changed.min(above.unwrap_or(0) + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_key() {
        let names = || KEYS.iter().map(|key| key.name.to_owned());
        assert_eq!(nearest("lisen", names())[0], "listen");
        assert_eq!(nearest("limits.bodies", names())[0], "limits.body");
        assert!(nearest("entirely.unrelated.words", names()).is_empty());
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
