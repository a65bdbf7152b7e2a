//! haproxy, as far as a balancer of TCP before API servers needs it: the
//! directives that are known are obeyed or checked, all others refused.

mod config;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub use config::Config;
use config::{Backend, ServerOptions};

use crate::client::Pool;
use crate::http::{Request, text};

/// Runs until told to stop: `-db -f FILE`, or `-c -f FILE` to check only.
pub async fn main(args: &[String]) -> u8 {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (check, path) = match words.as_slice() {
        ["-db", "-f", path] => (false, *path),
        ["-c", "-f", path] => (true, *path),
        _ => {
            eprintln!("[ALERT] haproxy : unknown option in {words:?}");
            return 1;
        }
    };
    let parsed = std::fs::read_to_string(path)
        .map_err(|e| format!("Could not open configuration file {path} : {e}"))
        .and_then(|text| Config::parse(&text));
    match parsed {
        Ok(_) if check => 0,
        Ok(config) => match serve(config).await {
            Ok(()) => 0,
            Err(e) => {
                eprintln!("[ALERT] {e}");
                1
            }
        },
        Err(e) => {
            eprintln!("[ALERT] {e}");
            1
        }
    }
}

/// A server as it is seen now.
struct Server {
    name: String,
    address: SocketAddr,
    options: ServerOptions,
    up: AtomicBool,
    sessions: AtomicUsize,
    /// Told to all sessions when it goes down.
    down: Notify,
}

/// Counts a session as long as it lives.
struct Session(Arc<Server>);

impl Session {
    fn new(server: &Arc<Server>) -> Self {
        server.sessions.fetch_add(1, Ordering::Relaxed);
        Session(server.clone())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(config: Config) -> Result<(), String> {
    let pool = crate::tls::client(None, None)
        .map(crate::client::pool)
        .map_err(|e| e.to_string())?;
    let mut running = tokio::task::JoinSet::new();
    for frontend in config.frontends {
        let Some(address) = frontend.bind else {
            continue;
        };
        let listener = TcpListener::bind(address).await.map_err(|e| {
            format!(
                "Starting frontend {}: cannot bind socket ({e}) [{address}]",
                frontend.name
            )
        })?;
        if frontend.http {
            let uri = frontend.monitor_uri;
            running.spawn(async move {
                crate::http::serve(listener, None, move |request: Request| {
                    let well = Some(&request.path) == uri.as_ref();
                    async move {
                        if well {
                            text(200, "OK")
                        } else {
                            text(503, "Service Unavailable")
                        }
                    }
                })
                .await;
            });
            continue;
        }
        let found = config
            .backends
            .iter()
            .find(|b| Some(&b.name) == frontend.backend.as_ref());
        let backend = Arc::new(
            found
                .cloned()
                .ok_or(format!("{} has no backend", frontend.name))?,
        );
        let servers: Vec<Arc<Server>> = backend
            .servers
            .iter()
            .map(|(name, address, options)| {
                Arc::new(Server {
                    name: name.clone(),
                    address: *address,
                    options: options.clone(),
                    up: AtomicBool::new(true),
                    sessions: AtomicUsize::new(0),
                    down: Notify::new(),
                })
            })
            .collect();
        for server in servers.iter().filter(|server| server.options.check) {
            running.spawn(watch(pool.clone(), backend.clone(), server.clone()));
        }
        running.spawn(accept(listener, backend, servers));
    }
    crate::proxy::terminated().await;
    running.abort_all();
    Ok(())
}

/// Checks a server for ever.
async fn watch(pool: Pool, backend: Arc<Backend>, server: Arc<Server>) {
    let options = &server.options;
    let mut streak = 0;
    loop {
        let well = healthy(&pool, &backend, &server).await;
        let up = server.up.load(Ordering::Relaxed);
        streak = if well == up { 0 } else { streak + 1 };
        if streak >= if up { options.fall } else { options.rise } {
            streak = 0;
            server.up.store(well, Ordering::Relaxed);
            let word = if well { "UP" } else { "DOWN" };
            crate::klog!(info, "Server {}/{} is {word}", backend.name, server.name);
            if !well && options.shutdown_sessions {
                server.down.notify_waiters();
            }
        }
        let up = server.up.load(Ordering::Relaxed);
        let pause = match (streak > 0, up) {
            (true, _) => options.fastinter,
            (false, false) => options.downinter,
            (false, true) => None,
        };
        tokio::time::sleep(pause.unwrap_or(options.inter)).await;
    }
}

async fn healthy(pool: &Pool, backend: &Backend, server: &Server) -> bool {
    let limit = backend.connect.min(server.options.inter) + backend.check;
    if !backend.http_check {
        let connected = tokio::time::timeout(limit, TcpStream::connect(server.address)).await;
        return matches!(connected, Ok(Ok(_)));
    }
    let scheme = if server.options.ssl { "https" } else { "http" };
    let uri = format!("{scheme}://{}{}", server.address, backend.uri);
    // Each check is a connection of its own.
    let request = http::Request::get(uri)
        .header("connection", "close")
        .body(Full::<Bytes>::default());
    let Ok(request) = request else {
        return false;
    };
    match tokio::time::timeout(limit, pool.request(request)).await {
        Ok(Ok(answer)) => {
            let status = answer.status().as_u16();
            match backend.expected.as_slice() {
                [] => (200..400).contains(&status),
                expected => expected.contains(&status),
            }
        }
        _ => false,
    }
}

async fn accept(listener: TcpListener, backend: Arc<Backend>, servers: Vec<Arc<Server>>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        tokio::spawn(relay(client, backend.clone(), servers.clone()));
    }
}

async fn relay(mut client: TcpStream, backend: Arc<Backend>, servers: Vec<Arc<Server>>) {
    let Some((mut upstream, session)) = connect(&backend, &servers).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
        () = session.0.down.notified() => {}
    }
}

/// The server with the fewest sessions; the next one if it doesn't answer.
async fn connect(backend: &Backend, servers: &[Arc<Server>]) -> Option<(TcpStream, Session)> {
    let mut tried: Vec<SocketAddr> = Vec::new();
    for _ in 0..=backend.retries {
        let up = |server: &&Arc<Server>| server.up.load(Ordering::Relaxed);
        let fresh = |server: &&Arc<Server>| !backend.redispatch || !tried.contains(&server.address);
        let least = |server: &&Arc<Server>| match backend.leastconn {
            true => server.sessions.load(Ordering::Relaxed),
            false => 0,
        };
        let server = servers
            .iter()
            .filter(up)
            .filter(fresh)
            .min_by_key(least)
            .or_else(|| servers.iter().filter(up).min_by_key(least))?;
        tried.push(server.address);
        let session = Session::new(server);
        let connected = TcpStream::connect(server.address);
        if let Ok(Ok(stream)) = tokio::time::timeout(backend.connect, connected).await {
            return Some((stream, session));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::config::tests::GOOD;
    use super::*;

    fn server(address: SocketAddr) -> Arc<Server> {
        Arc::new(Server {
            name: "s".into(),
            address,
            options: ServerOptions::default(),
            up: AtomicBool::new(true),
            sessions: AtomicUsize::new(0),
            down: Notify::new(),
        })
    }

    #[tokio::test]
    async fn a_server_that_refuses_costs_no_error() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = server(gone.local_addr().unwrap());
        drop(gone);
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = server(there.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = there.accept().await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            std::future::pending::<()>().await;
        });
        let backend = Arc::new(Config::parse(GOOD).unwrap().backends.remove(0));
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        tokio::spawn(accept(front, backend, vec![dead, alive.clone()]));
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
        // A session ends with its server, though nobody closed it.
        assert_eq!(alive.sessions.load(Ordering::Relaxed), 1);
        alive.down.notify_waiters();
        assert_eq!(client.read(&mut hello).await.unwrap(), 0);
    }
}
