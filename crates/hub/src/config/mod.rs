//! The server's configuration: defaults, one TOML file, the environment, flags; each value knows where it came from.
//!
//! Knows nothing of what the values do. An unknown key is a fault, and all faults are told at once.

mod keys;
mod settings;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hub_base::HumanDuration;
use hub_respond::RespondConfig;
use hub_telemetry::LogFormat;
use ipnet::IpNet;
use secrecy::SecretString;

use settings::Settings;
pub use settings::{Fault, Source};

/// Everything that can be set, parsed and checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    /// The key ring, if it is handed in from outside.
    pub keys_file: Option<PathBuf>,
    pub public_url: Option<String>,
    pub database: Database,
    pub tls: Option<Tls>,
    pub trusted_proxies: Vec<IpNet>,
    pub trusted_header: ForwardHeader,
    pub limits: Limits,
    pub drain: Duration,
    pub log: Log,
    pub metrics: Exposure,
    pub content: Content,
    pub hash: Hashing,
    pub respond: RespondConfig,
}

/// The header in which trusted proxies say where a request came from. Exactly one counts: proxies pass the others on as
/// the client wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardHeader {
    XForwardedFor,
    Forwarded,
}

impl std::str::FromStr for ForwardHeader {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("expected `x-forwarded-for` or `forwarded`"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Database {
    /// For the role `hub_app`; `None` runs the private cluster.
    pub url: Option<SecretString>,
    /// The file that `url` stands in, if it does; it is read again when it changes.
    pub url_file: Option<PathBuf>,
    pub owner_url: Option<SecretString>,
    pub pool: u32,
    pub migrate: bool,
}

#[derive(Debug, Clone)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_address: usize,
    pub header_timeout: Duration,
    pub stall_timeout: Duration,
    pub idle_timeout: Duration,
    pub request_timeout: Duration,
    pub body: usize,
    pub ingest_body: usize,
    pub requests_per_second: u32,
    pub burst: u32,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// Who may read `/metrics` and `/health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    Operators,
    /// Also whoever connects from the machine itself.
    Loopback,
}

#[derive(Debug, Clone)]
pub struct Content {
    pub rules: Option<PathBuf>,
    pub foreign_rules: Option<PathBuf>,
    pub retention: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Hashing {
    /// `None`: one per processor.
    pub threads: Option<usize>,
    pub queue: usize,
}

/// What the configuration is read from.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Path and content.
    pub file: Option<(PathBuf, String)>,
    pub environment: Vec<(String, String)>,
    /// Key, value, and the flag's name.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

/// One line of `security-hub config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub key: &'static str,
    /// `***` for a secret that is set.
    pub value: String,
    pub source: Source,
    pub about: &'static str,
}

/// The configuration as read: every line for printing, and the checked values or every fault.
#[derive(Debug)]
pub struct Loaded {
    pub lines: Vec<Line>,
    pub config: Result<Config, Vec<Fault>>,
}

/// Reads and checks everything.
pub fn load(inputs: Inputs) -> Loaded {
    let mut settings = Settings::defaults();
    if let Some((path, text)) = &inputs.file {
        settings.read_file(path, text);
    }
    settings.read_environment(inputs.environment);
    for (key, text, flag) in inputs.flags {
        settings.put(key, text, Source::Flag(flag));
    }
    let lines = lines(&settings);
    let config = build(&mut settings);
    let config = match config {
        Some(config) if settings.faults.is_empty() => Ok(config),
        _ => Err(settings.faults),
    };
    Loaded { lines, config }
}

fn lines(settings: &Settings) -> Vec<Line> {
    keys::KEYS
        .iter()
        .filter_map(|key| {
            let setting = settings.by_key.get(key.name)?;
            let hidden = key.secret && !setting.text.is_empty();
            let value = if hidden {
                "***".to_owned()
            } else {
                setting.text.clone()
            };
            Some(Line {
                key: key.name,
                value,
                source: setting.source.clone(),
                about: key.about,
            })
        })
        .collect()
}

fn build(settings: &mut Settings) -> Option<Config> {
    let listen = settings.one("listen");
    let data_dir = settings.one("data_dir");
    let database = database(settings);
    let tls = tls(settings);
    let trusted_proxies = settings.list("trusted_proxies");
    let trusted_header = settings.one("trusted_header");
    let limits = limits(settings);
    let drain = duration(settings, "shutdown.drain");
    let log = log(settings);
    let loopback: Option<bool> = settings.one("metrics.loopback");
    let content = Content {
        rules: folder(settings, "content.rules"),
        foreign_rules: folder(settings, "content.foreign_rules"),
        retention: settings.text("content.retention").map(PathBuf::from),
    };
    let threads = settings.whole("hash.threads", 0, 1024);
    let queue = settings.whole("hash.queue", 1, 100_000);
    let respond = respond(settings);
    Some(Config {
        listen: listen?,
        data_dir: data_dir?,
        keys_file: settings.text("keys_file").map(PathBuf::from),
        public_url: settings.text("public_url"),
        database: database?,
        tls,
        trusted_proxies,
        trusted_header: trusted_header?,
        limits: limits?,
        drain: drain?,
        log: log?,
        metrics: if loopback? {
            Exposure::Loopback
        } else {
            Exposure::Operators
        },
        content,
        hash: Hashing {
            threads: Some(threads? as usize).filter(|n| *n > 0),
            queue: queue? as usize,
        },
        respond: respond?,
    })
}

fn database(settings: &mut Settings) -> Option<Database> {
    let pool = settings.whole("database.pool", 4, 1000);
    let migrate = settings.one("database.migrate");
    for key in ["database.url", "database.owner_url"] {
        if settings
            .text(key)
            .is_some_and(|url| !url.starts_with("postgres://") && !url.starts_with("postgresql://"))
        {
            settings.complain(key, "must begin with `postgres://` or `postgresql://`");
        }
    }
    Some(Database {
        url: settings.text("database.url").map(SecretString::from),
        url_file: settings.files.get("database.url").cloned(),
        owner_url: settings.text("database.owner_url").map(SecretString::from),
        pool: u32::try_from(pool?).ok()?,
        migrate: migrate?,
    })
}

fn tls(settings: &mut Settings) -> Option<Tls> {
    match (settings.text("tls.cert"), settings.text("tls.key")) {
        (Some(cert), Some(key)) => Some(Tls {
            cert: cert.into(),
            key: key.into(),
        }),
        (None, None) => None,
        (Some(_), None) => {
            settings.complain("tls.cert", "needs `tls.key` beside it");
            None
        }
        (None, Some(_)) => {
            settings.complain("tls.key", "needs `tls.cert` beside it");
            None
        }
    }
}

fn limits(settings: &mut Settings) -> Option<Limits> {
    let connections = settings.whole("limits.connections", 1, 1_000_000);
    let per_address = settings.whole("limits.connections_per_address", 1, 1_000_000);
    let header_timeout = duration(settings, "limits.header_timeout");
    let idle_timeout = duration(settings, "limits.idle_timeout");
    let stall_timeout = duration(settings, "limits.stall_timeout");
    let request_timeout = duration(settings, "limits.request_timeout");
    let body = settings.whole("limits.body", 1024, 1 << 30);
    let ingest_body = settings.whole("limits.ingest_body", 1024, 1 << 30);
    let per_second = settings.whole("limits.requests_per_second", 1, 1_000_000);
    let burst = settings.whole("limits.burst", 1, 10_000_000);
    Some(Limits {
        connections: connections? as usize,
        connections_per_address: per_address? as usize,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        stall_timeout: stall_timeout?,
        request_timeout: request_timeout?,
        body: body? as usize,
        ingest_body: ingest_body? as usize,
        requests_per_second: per_second? as u32,
        burst: burst? as u32,
    })
}

fn duration(settings: &mut Settings, key: &str) -> Option<Duration> {
    let HumanDuration(value) = settings.one(key)?;
    if value < Duration::from_millis(1) || value > Duration::from_hours(24) {
        settings.complain(key, "must be between 1ms and 24h");
        return None;
    }
    Some(value)
}

fn log(settings: &mut Settings) -> Option<Log> {
    let format = settings.one("log.format");
    let level = settings.text("log.level").unwrap_or_default();
    if let Err(error) = hub_telemetry::logs::parse_filter(&level) {
        settings.complain("log.level", &error.to_string());
    }
    Some(Log {
        format: format?,
        level,
    })
}

fn folder(settings: &mut Settings, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(settings.text(key)?);
    if !path.is_dir() {
        settings.complain(key, &format!("`{}` is not a folder", path.display()));
    }
    Some(path)
}

/// The respond room's section, handed over in the room's own shape; the room checks it.
fn respond(settings: &mut Settings) -> Option<RespondConfig> {
    let mut section = serde_json::Map::new();
    let mut put = |name: &str, value: serde_json::Value| section.insert(name.to_owned(), value);
    put("playbooks", settings.text("content.playbooks").into());
    put(
        "protected_addresses",
        networks(settings, "respond.protected_addresses"),
    );
    put(
        "attempts",
        settings.whole("respond.attempts", 1, 20)?.into(),
    );
    if settings.text("respond.webhook.url").is_some() {
        let plain = ["url", "secret", "timeout"];
        put(
            "webhook",
            part(settings, "respond.webhook", &plain, &["plain_http_hosts"]).into(),
        );
    }
    if settings.text("respond.email.host").is_some() {
        let plain = ["host", "tls", "username", "password", "from", "timeout"];
        let mut email = part(settings, "respond.email", &plain, &["to"]);
        let port = settings.whole("respond.email.port", 1, 65_535)?;
        email.insert("port".to_owned(), port.into());
        put("email", email.into());
    }
    match serde_json::from_value::<RespondConfig>(section.into()) {
        Ok(config) => {
            for fault in config.validate().err().unwrap_or_default() {
                let fault = if fault.starts_with("playbooks:") {
                    format!("content.{fault}")
                } else {
                    format!("respond.{fault}")
                };
                settings.report(fault);
            }
            Some(config)
        }
        Err(error) => {
            settings.report(format!("respond: {error}"));
            None
        }
    }
}

fn networks(settings: &mut Settings, key: &str) -> serde_json::Value {
    settings
        .list::<IpNet>(key)
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .into()
}

fn part(
    settings: &mut Settings,
    name: &str,
    plain: &[&str],
    lists: &[&str],
) -> serde_json::Map<String, serde_json::Value> {
    let mut part = serde_json::Map::new();
    for key in plain {
        if let Some(text) = settings.text(&format!("{name}.{key}")) {
            part.insert((*key).to_owned(), text.into());
        }
    }
    for key in lists {
        let list = settings.list::<String>(&format!("{name}.{key}"));
        part.insert((*key).to_owned(), list.into());
    }
    part
}
