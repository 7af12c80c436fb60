//! What ends a deploy from outside.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Failure;

pub(super) fn never() -> watch::Receiver<bool> {
    watch::Sender::new(false).subscribe()
}

/// Turns true at the first Ctrl-C or SIGTERM, or when the terminal is gone: the deploy is taken back, not left. Who is told to
/// outlive the terminal (`nohup`) does.
pub(super) fn aborts() -> Result<watch::Receiver<bool>, Failure> {
    let (send, receive) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let outlives = is_ignored(SignalKind::hangup());
    // To hear it would end that it is ignored.
    let mut hangup = if outlives {
        None
    } else {
        Some(signal(SignalKind::hangup())?)
    };
    tokio::spawn(async move {
        let gone = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = gone => {}
        }
        send.send_replace(true);
        // The receiver asks how it stands as long as it lives.
        std::future::pending::<()>().await;
    });
    Ok(receive)
}

/// Whether this process was started with that signal ignored (proc(5), `SigIgn`).
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(kind.as_raw_value() - 1).ok();
    mask.zip(bit)
        .is_some_and(|(mask, bit)| mask >> bit & 1 == 1)
}
