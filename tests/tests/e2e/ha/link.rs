//! A road between two programs that can be cut: silence then, as when a switch fails, not a closed door.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(super) struct Link {
    pub(super) port: u16,
    is_open: watch::Sender<bool>,
}

impl Link {
    /// To a port of this machine.
    pub(super) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_open, watched) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target, watched.clone()));
            }
        });
        Self { port, is_open }
    }

    pub(super) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

/// While the road is cut nothing passes and nothing is closed; what lived through that is closed afterwards.
async fn carry(mut client: TcpStream, target: u16, mut is_open: watch::Receiver<bool>) {
    // The road's owner is gone: so is the road.
    if is_open.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    tokio::select! {
        _ended = copy_bidirectional(&mut client, &mut server) => return,
        cut = is_open.wait_for(|open| !*open) => if cut.is_err() { return },
    }
    let _mended = is_open.wait_for(|open| *open).await;
}
