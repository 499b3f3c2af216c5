//! A store behind a socket of this machine, for tests that also talk to real servers.

use std::path::PathBuf;
use std::rc::Rc;

use holdfast::clock::Clock;
use redis::Connection;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::interpreter::Interpreter;
use super::node::Sync;
use super::serve::{Calm, serve};
use super::store::{Settings, Store};

/// A running store of one node; gone when dropped.
pub(crate) struct Socket {
    folder: TempDir,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Socket {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.sock");
        let (end, ended) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            runtime.unwrap().block_on(async move {
                let listener = UnixListener::bind(path).unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    biased;
                    _ = ended => {}
                    () = listen(listener) => {}
                }
            });
        });
        is_ready.recv().unwrap();
        Self {
            folder,
            end: Some(end),
            thread: Some(thread),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("server.sock")
    }

    /// The address of the socket, as clients take it.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.path().display())
    }

    pub(crate) fn connect(&self) -> Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn listen(listener: UnixListener) {
    let settings = Settings {
        replicas: 0,
        sync: Sync::Always,
        lag: 0,
        wall: Box::new(|| Clock::system().now().0),
        seed: 0,
        counts_nothing: false,
    };
    let store = Store::new(Rc::new(Interpreter::new()), settings);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(serve(Rc::clone(&store), 0, stream, Calm));
    }
}
