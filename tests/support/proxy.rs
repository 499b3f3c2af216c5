//! A TCP proxy that loses, cuts, delays and doubles what passes through it.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::support::rng::Rng;

/// What can go wrong with a request and its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is lost and the connection with it.
    LoseRequest,
    /// The request arrives; its reply and the connection are lost.
    LoseReply,
    /// The connection ends in the middle of the reply.
    CutReply,
    /// The reply comes, but later than anybody waits for it.
    Delay,
    /// The request arrives once more, over another connection, and nobody reads that reply.
    Double,
}

const FAULTS: [Fault; 5] = [
    Fault::LoseRequest,
    Fault::LoseReply,
    Fault::CutReply,
    Fault::Delay,
    Fault::Double,
];

#[derive(Debug)]
struct Plan {
    upstream: u16,
    /// Faulty requests in a hundred.
    percent: AtomicU64,
    seed: AtomicU64,
    /// How long a delayed reply is held back.
    delay: Duration,
    /// By fault, in the order of `FAULTS`.
    made: [AtomicU64; FAULTS.len()],
}

/// A proxy in front of a server on this machine; ends when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Plan>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// Passes everything on to this port until told to make mistakes.
    pub(crate) fn start(upstream: u16, seed: u64, delay: Duration) -> Self {
        let listener = StdListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::new(Plan {
            upstream,
            percent: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
            delay,
            made: Default::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&plan);
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(&listener, &shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            port,
            plan,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on so many requests in a hundred go wrong.
    pub(crate) fn spoil(&self, percent: u64) {
        self.plan.percent.store(percent, Ordering::Relaxed);
    }

    /// How often each fault was made.
    pub(crate) fn made(&self) -> Vec<(Fault, u64)> {
        let counts = self.plan.made.iter().map(|n| n.load(Ordering::Relaxed));
        FAULTS.into_iter().zip(counts).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn accept(listener: &TcpListener, plan: &Arc<Plan>) {
    loop {
        let (client, _): (TcpStream, SocketAddr) = listener.accept().await.unwrap();
        let plan = Arc::clone(plan);
        // A connection that breaks is what a proxy like this is for.
        tokio::spawn(async move { drop(pass(client, &plan).await) });
    }
}

/// One client connection, to its end.
async fn pass(mut client: TcpStream, plan: &Plan) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", plan.upstream)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut rng = Rng::new(plan.seed.fetch_add(1, Ordering::Relaxed));
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    // Since the last reply.
    let mut request: Vec<u8> = Vec::new();
    let mut fault = None;
    loop {
        tokio::select! {
            n = client.read(&mut from_client) => {
                let n = n?;
                if n == 0 {
                    return Ok(());
                }
                if request.is_empty() {
                    fault = plan.choose(&mut rng);
                }
                if fault == Some(Fault::LoseRequest) {
                    return Ok(());
                }
                request.extend_from_slice(&from_client[..n]);
                server.write_all(&from_client[..n]).await?;
            }
            n = server.read(&mut from_server) => {
                let n = n?;
                if n == 0 {
                    return Ok(());
                }
                match fault.take() {
                    Some(Fault::LoseReply) => return Ok(()),
                    Some(Fault::CutReply) => {
                        client.write_all(&from_server[..n / 2]).await?;
                        return Ok(());
                    }
                    Some(Fault::Delay) => tokio::time::sleep(plan.delay).await,
                    Some(Fault::Double) => double(&request, plan.upstream).await?,
                    Some(Fault::LoseRequest) | None => {}
                }
                request.clear();
                client.write_all(&from_server[..n]).await?;
            }
        }
    }
}

/// Sends a request again, over a connection of its own.
async fn double(request: &[u8], upstream: u16) -> std::io::Result<()> {
    let mut other = TcpStream::connect(("127.0.0.1", upstream)).await?;
    other.write_all(request).await?;
    other.shutdown().await?;
    // It hangs up when it has answered everything.
    tokio::io::copy(&mut other, &mut tokio::io::sink()).await?;
    Ok(())
}

impl Plan {
    fn choose(&self, rng: &mut Rng) -> Option<Fault> {
        if !rng.percent(self.percent.load(Ordering::Relaxed)) {
            return None;
        }
        let at = rng.index(FAULTS.len());
        self.made[at].fetch_add(1, Ordering::Relaxed);
        Some(FAULTS[at])
    }
}
