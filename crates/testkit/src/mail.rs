//! A mail server on a loopback socket that takes every message, for what sends mail.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One message as it came: the commands before it, its text with headers.
#[derive(Debug, Clone)]
pub struct Mail {
    pub envelope: Vec<String>,
    pub text: String,
}

/// A server that speaks SMTP (RFC 5321) without TLS, until the runtime ends.
#[derive(Debug)]
pub struct MailServer {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    /// # Errors
    /// If no port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let got: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let all = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                // A client that hangs up in the middle has sent nothing.
                tokio::spawn(async move {
                    let _ended = converse(stream, &all).await;
                });
            }
        });
        Ok(Self { address, got })
    }

    /// What came so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.got
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn converse(stream: TcpStream, all: &Mutex<Vec<Mail>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 here\r\n").await?;
    let mut envelope = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        let verb = line.split(' ').next().unwrap_or_default();
        let verb = verb.to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" => b"250-here\r\n250 8BITMIME\r\n",
            "DATA" => b"354 go on\r\n",
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
        if verb == "DATA" {
            let mut text = String::new();
            while !text.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut text).await? == 0 {
                    return Ok(());
                }
            }
            let envelope = std::mem::take(&mut envelope);
            all.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Mail { envelope, text });
            stream.write_all(b"250 taken\r\n").await?;
        } else {
            envelope.push(line);
        }
    }
}
