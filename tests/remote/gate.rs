//! A network between an instance and its store that a test can cut.

use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

/// Passes connections on to a socket; ends when dropped.
pub(crate) struct Gate {
    port: u16,
    is_cut: watch::Sender<bool>,
    /// One for each connection, and two.
    open: Arc<()>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    pub(crate) fn before(socket: &Path) -> Self {
        let listener = StdListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = watch::Sender::new(false);
        let (stop, stopped) = oneshot::channel();
        let open = Arc::new(());
        let way = Way {
            cut: is_cut.subscribe(),
            open: Arc::clone(&open),
            socket: socket.to_owned(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, &way) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            is_cut,
            open,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Nothing passes any more when this returns, and every connection has ended; or it is as
    /// before.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
        while is_cut && Arc::strong_count(&self.open) > 2 {
            std::thread::yield_now();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// What each connection must know.
#[derive(Clone)]
struct Way {
    cut: watch::Receiver<bool>,
    open: Arc<()>,
    socket: PathBuf,
}

async fn accept(listener: StdListener, way: &Way) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let mut way = way.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = way.cut.wait_for(|is_cut| *is_cut) => {}
                // A connection that breaks is what a gate is for.
                passed = pass(client, &way.socket) => drop(passed),
            }
            drop(way.open);
        });
    }
}

async fn pass(mut client: TcpStream, socket: &Path) -> std::io::Result<()> {
    let mut server = UnixStream::connect(socket).await?;
    client.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
