//! A summary as a signed HTTP POST (Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hub_base::Timestamp;
use uuid::Uuid;

use crate::config::WebhookConfig;

/// A receiver, with its connection pool.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    client: reqwest::Client,
    config: WebhookConfig,
}

impl Webhook {
    pub(super) fn new(config: &WebhookConfig) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(config.timeout.0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("security-hub")
            .build()?;
        Ok(Self {
            client,
            config: config.clone(),
        })
    }

    /// Posts the summary; what went wrong is told without the URL, which may carry a token.
    pub(super) async fn send(&self, id: Uuid, now: Timestamp, body: &str) -> Result<(), String> {
        let seconds = now.unix_seconds();
        let answer = self
            .client
            .post(self.config.url.expose())
            .header("content-type", "application/json")
            .header("idempotency-key", id.to_string())
            .header("webhook-id", id.to_string())
            .header("webhook-timestamp", seconds.to_string())
            .header(
                "webhook-signature",
                signature(self.config.secret.expose(), id, seconds, body),
            )
            .body(body.to_owned())
            .send()
            .await
            .map_err(|error| cause(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("the webhook answered {status}"))
        }
    }
}

/// `v1,` and the base64 HMAC-SHA256 of `id.seconds.body`.
pub(super) fn signature(secret: &str, id: Uuid, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "the webhook did not answer in time".to_owned()
    } else if error.is_connect() {
        "the webhook could not be reached".to_owned()
    } else {
        hub_base::chain(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        // printf '%s' '<id>.1700000000.{"a":1}' | openssl dgst -sha256 -hmac '0123456789abcdef' -binary | base64
        let id = Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001);
        let signed = signature("0123456789abcdef", id, 1_700_000_000, "{\"a\":1}");
        assert_eq!(signed, "v1,mG07hHrJZVHZX0InLhJbFmEd6V/7UcJF+xoeZ+Y1woc=");
    }
}
