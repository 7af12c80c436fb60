//! A summary as a plain-text mail.

use std::fmt::Write as _;

use hub_base::Timestamp;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde_json::Value;
use uuid::Uuid;

use crate::config::{EmailConfig, MailTls};

/// A mail server, with its connection pool.
#[derive(Debug, Clone)]
pub(super) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Mailboxes,
}

impl Email {
    pub(super) fn new(config: &EmailConfig) -> Result<Self, String> {
        let tls = || TlsParameters::new(config.host.clone()).map_err(|error| error.to_string());
        let tls = match config.tls {
            MailTls::Required => Tls::Wrapper(tls()?),
            MailTls::Starttls => Tls::Required(tls()?),
            MailTls::None => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(config.timeout.0));
        if let (Some(username), Some(password)) = (&config.username, &config.password) {
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            transport = transport.credentials(credentials);
        }
        let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| error.to_string());
        let to = config
            .to
            .iter()
            .map(|to| mailbox(to))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            transport: transport.build(),
            from: mailbox(&config.from)?,
            to: to.into_iter().collect(),
        })
    }

    pub(super) async fn send(&self, id: Uuid, now: Timestamp, payload: &str) -> Result<(), String> {
        let message = self.message(id, now, payload)?;
        self.transport
            .send(message)
            .await
            .map_err(|error| hub_base::chain(&error))?;
        Ok(())
    }

    pub(super) async fn send_to(
        &self,
        to: &str,
        subject: &str,
        text: String,
        now: Timestamp,
    ) -> Result<(), String> {
        // The receiver's address is never part of the fault: it would stand in a log.
        let to: Mailbox = to
            .parse()
            .map_err(|_| "the receiver's address is no mail address".to_owned())?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .date(std::time::UNIX_EPOCH + now.since(Timestamp::from_unix_seconds(0)))
            .message_id(None)
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| error.to_string())?;
        self.transport
            .send(message)
            .await
            .map_err(|error| hub_base::chain(&error))?;
        Ok(())
    }

    fn message(&self, id: Uuid, now: Timestamp, payload: &str) -> Result<Message, String> {
        let summary: Value = serde_json::from_str(payload).map_err(|error| error.to_string())?;
        let mut builder: MessageBuilder = Message::builder()
            .from(self.from.clone())
            .date(std::time::UNIX_EPOCH + now.since(Timestamp::from_unix_seconds(0)))
            // The same for every try, so that the receiver's server can tell a repetition.
            .message_id(Some(format!("<{id}@security-hub>")))
            .subject(subject(&summary))
            .header(ContentType::TEXT_PLAIN)
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Idempotency-Key"),
                id.to_string(),
            ));
        for to in self.to.iter() {
            builder = builder.to(to.clone());
        }
        builder
            .body(text(&summary))
            .map_err(|error| error.to_string())
    }
}

fn word<'a>(summary: &'a Value, pointer: &str) -> &'a str {
    summary
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("-")
}

fn subject(summary: &Value) -> String {
    let number = summary
        .pointer("/incident/number")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    format!(
        "[Security Hub] {} incident {number}: {}",
        word(summary, "/incident/severity"),
        // A header is one line, whatever a title holds.
        word(summary, "/incident/title").replace(char::is_control, " "),
    )
}

fn text(summary: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _never_fails = writeln!(text, "{name:<16}{value}");
    };
    line("Incident", word(summary, "/incident/title"));
    line("Severity", word(summary, "/incident/severity"));
    line("Status", word(summary, "/incident/status"));
    line("Techniques", &words(summary, "/incident/techniques"));
    line(
        "First activity",
        word(summary, "/incident/first_activity_at"),
    );
    line("Detected", word(summary, "/incident/detected_at"));
    line("Contained", word(summary, "/incident/contained_at"));
    for entity in summary
        .pointer("/entities")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let value = format!("{} ({})", word(entity, "/value"), word(entity, "/role"));
        line(word(entity, "/kind"), &value);
    }
    for action in summary
        .pointer("/actions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let value = format!("{}: {}", word(action, "/target"), word(action, "/state"));
        line(word(action, "/kind"), &value);
    }
    line("Id", word(summary, "/incident/id"));
    text
}

fn words(summary: &Value, pointer: &str) -> String {
    let all = summary
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_write_headers() {
        let summary = serde_json::json!({
            "incident": {"number": 7, "severity": "high", "title": "x\r\nBcc: all@example.org"},
        });
        assert_eq!(
            subject(&summary),
            "[Security Hub] high incident 7: x  Bcc: all@example.org"
        );
    }
}
