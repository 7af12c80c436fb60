//! Tenants, people and API keys.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hub_base::HumanDuration;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::client::{Client, field, list};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::secret::{SecretFile, read_secret};

/// Shows a list as a table, or as it came.
fn show(output: &Output, body: &Value, head: &[&str], fields: &[&str]) -> Result<Exit, Failure> {
    if output.json {
        output.document(body)?;
    } else {
        let items = list(body, "items");
        let rows = items
            .iter()
            .map(|item| fields.iter().map(|name| field(item, name)).collect());
        output.table(head, rows.collect())?;
    }
    Ok(Exit::Done)
}

fn said(output: &Output, body: &Value, text: &str) -> Result<Exit, Failure> {
    if output.json {
        output.document(body)?;
    } else {
        output.line(text)?;
    }
    Ok(Exit::Done)
}

#[derive(Debug, Args)]
pub(crate) struct NewPerson {
    #[arg(long)]
    username: String,
    #[arg(long)]
    email: String,
    /// File with the password to set; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
}

impl NewPerson {
    fn body(&self) -> Result<Value, Failure> {
        let password = read_secret(&self.password_file)?;
        Ok(
            json!({"username": self.username, "email": self.email, "password": password.expose_secret()}),
        )
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// All tenants.
    List,
    /// Make a tenant and its owner.
    Create {
        /// What people type to sign in: lower-case letters, digits, hyphens.
        slug: String,
        #[arg(long)]
        name: String,
        #[command(flatten)]
        owner: NewPerson,
    },
}

impl Tenant {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                let body = client.get("/api/v2/tenants").await?;
                show(
                    output,
                    &body,
                    &["Slug", "Name", "Id", "Since"],
                    &["slug", "name", "id", "created_at"],
                )
            }
            Self::Create { slug, name, owner } => {
                let body = json!({"slug": slug, "name": name, "owner": owner.body()?});
                let made = client.post("/api/v2/tenants", body).await?;
                said(
                    output,
                    &made,
                    &format!("tenant `{slug}` is made; `{}` owns it", owner.username),
                )
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// People by user name.
    List,
    /// Make a person.
    Create {
        #[command(flatten)]
        person: NewPerson,
        /// Role names, repeated.
        #[arg(long = "role")]
        roles: Vec<String>,
    },
    /// Lock a person out at once.
    Lock {
        id: String,
        #[arg(long)]
        reason: String,
    },
    /// Let a person in again.
    Unlock {
        id: String,
        #[arg(long)]
        reason: String,
    },
}

impl User {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                let body = client.all("/api/v2/users", &[("limit", "100")]).await?;
                show(
                    output,
                    &body,
                    &["User name", "Id", "E-mail", "Locked"],
                    &["username", "id", "email", "locked_at"],
                )
            }
            Self::Create { person, roles } => {
                let mut body = person.body()?;
                if let Value::Object(body) = &mut body {
                    body.insert("roles".to_owned(), json!(roles));
                }
                let made = client.post("/api/v2/users", body).await?;
                said(output, &made, &format!("`{}` is made", person.username))
            }
            Self::Lock { id, reason } => {
                let body = client
                    .post(
                        &format!("/api/v2/users/{id}/lock"),
                        json!({"reason": reason}),
                    )
                    .await?;
                said(output, &body, "locked")
            }
            Self::Unlock { id, reason } => {
                let body = client
                    .post(
                        &format!("/api/v2/users/{id}/unlock"),
                        json!({"reason": reason}),
                    )
                    .await?;
                said(output, &body, "unlocked")
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// All API keys, newest first.
    List,
    /// Make an API key; it is written to a file, once.
    Create {
        name: String,
        /// Permission names, repeated: `users.read`.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// Where to keep the key (readable by you only).
        #[arg(long, value_name = "FILE")]
        save: PathBuf,
    },
    /// Make a key that takes another's place, with the same scopes; both are good for a while.
    Rotate {
        id: String,
        /// How long the former one is good yet.
        #[arg(long, default_value = "24h")]
        overlap: HumanDuration,
        /// Where to keep the new key (readable by you only).
        #[arg(long, value_name = "FILE")]
        save: PathBuf,
    },
    /// Revoke an API key at once.
    Revoke { id: String },
}

impl Key {
    pub(crate) async fn run(self, client: &Client, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                let body = client.get("/api/v2/api-keys").await?;
                show(
                    output,
                    &body,
                    &["Name", "Id", "Scopes", "Revoked"],
                    &["name", "id", "scopes", "revoked_at"],
                )
            }
            Self::Create { name, scopes, save } => {
                let kept = SecretFile::open(&save)?;
                let made = client
                    .post("/api/v2/api-keys", json!({"name": name, "scopes": scopes}))
                    .await?;
                kept.keep(&field(&made, "key"))?;
                let told = json!({"id": field(&made, "id"), "saved": save});
                said(output, &told, &format!("the key is in {}", save.display()))
            }
            Self::Rotate { id, overlap, save } => {
                let kept = SecretFile::open(&save)?;
                let path = format!("/api/v2/api-keys/{id}/rotate");
                let made = client.post(&path, json!({ "overlap": overlap })).await?;
                kept.keep(&field(&made, "key"))?;
                let told = json!({"id": field(&made, "id"), "saved": save});
                let shown = save.display();
                said(
                    output,
                    &told,
                    &format!(
                        "the new key is in {shown}; the former one is good for {overlap} more"
                    ),
                )
            }
            Self::Revoke { id } => {
                let body = client
                    .call(Method::DELETE, &format!("/api/v2/api-keys/{id}"), None)
                    .await?;
                said(output, &body, "revoked")
            }
        }
    }
}
