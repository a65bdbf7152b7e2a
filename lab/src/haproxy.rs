//! haproxy, as far as a balancer of TCP before API servers needs it: the
//! directives that are known are obeyed or checked, all others refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::client::Pool;
use crate::http::{Request, text};

/// What a configuration says.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Config {
    frontends: Vec<Frontend>,
    backends: Vec<Backend>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Frontend {
    name: String,
    http: bool,
    bind: Option<SocketAddr>,
    monitor_uri: Option<String>,
    backend: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Backend {
    name: String,
    leastconn: bool,
    retries: usize,
    redispatch: bool,
    connect: Duration,
    check: Duration,
    http_check: bool,
    uri: String,
    expected: Vec<u16>,
    server: ServerOptions,
    servers: Vec<(String, SocketAddr, ServerOptions)>,
}

#[derive(Debug, Clone, PartialEq)]
struct ServerOptions {
    check: bool,
    ssl: bool,
    unverified: bool,
    inter: Duration,
    fastinter: Option<Duration>,
    downinter: Option<Duration>,
    fall: u32,
    rise: u32,
    shutdown_sessions: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            check: false,
            ssl: false,
            unverified: false,
            inter: Duration::from_secs(2),
            fastinter: None,
            downinter: None,
            fall: 3,
            rise: 2,
            shutdown_sessions: false,
        }
    }
}

impl Default for Backend {
    fn default() -> Self {
        Backend {
            name: String::new(),
            leastconn: false,
            retries: 3,
            redispatch: false,
            connect: Duration::from_secs(5),
            check: Duration::from_secs(2),
            http_check: false,
            uri: "/".into(),
            expected: Vec::new(),
            server: ServerOptions::default(),
            servers: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Section {
    None,
    Global,
    Defaults,
    Frontend,
    Backend,
}

impl Config {
    /// Reads a configuration; the error is what haproxy says of the line.
    pub fn parse(content: &str) -> Result<Self, String> {
        let mut config = Config::default();
        let mut section = Section::None;
        let mut defaults = (Frontend::default(), Backend::default());
        for (index, line) in content.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let done = config.line(&mut section, &mut defaults, &words);
            done.map_err(|why| format!("config : parsing [line {}] : {why}", index + 1))?;
        }
        for frontend in &config.frontends {
            let known = |name: &String| config.backends.iter().any(|b| b.name == *name);
            if let Some(name) = frontend.backend.as_ref().filter(|name| !known(name)) {
                return Err(format!(
                    "config : Proxy '{}': unable to find required default_backend: '{name}'.",
                    frontend.name
                ));
            }
        }
        if config.frontends.iter().all(|f| f.bind.is_none()) {
            return Err("config : no listener".into());
        }
        Ok(config)
    }

    fn line(
        &mut self,
        section: &mut Section,
        defaults: &mut (Frontend, Backend),
        words: &[&str],
    ) -> Result<(), String> {
        match words {
            [] => return Ok(()),
            ["global"] => *section = Section::Global,
            ["defaults"] => *section = Section::Defaults,
            ["frontend", name] => {
                *section = Section::Frontend;
                self.frontends.push(Frontend {
                    name: (*name).into(),
                    ..defaults.0.clone()
                });
            }
            ["backend", name] => {
                *section = Section::Backend;
                self.backends.push(Backend {
                    name: (*name).into(),
                    ..defaults.1.clone()
                });
            }
            words => {
                let known = match section {
                    Section::Global => global(words)?,
                    Section::Defaults => {
                        // A setting may be for the one, the other, or both.
                        frontend(words, &mut defaults.0)? | backend(words, &mut defaults.1)?
                    }
                    Section::Frontend => match self.frontends.last_mut() {
                        Some(last) => frontend(words, last)?,
                        None => false,
                    },
                    Section::Backend => match self.backends.last_mut() {
                        Some(last) => backend(words, last)?,
                        None => false,
                    },
                    Section::None => false,
                };
                if !known {
                    return Err(format!("unknown keyword '{}'", words.join(" ")));
                }
            }
        }
        Ok(())
    }
}

fn global(words: &[&str]) -> Result<bool, String> {
    match words {
        ["log", "stdout", "format", "raw", "local0", "notice"] => Ok(true),
        ["maxconn", count] => number(count).map(|_| true),
        ["hard-stop-after", time] => duration(time).map(|_| true),
        _ => Ok(false),
    }
}

/// Settings that both kinds of section know, and that change nothing here.
fn shared(words: &[&str]) -> Result<bool, String> {
    match words {
        ["log", "global"] | ["option", "clitcpka" | "srvtcpka"] => Ok(true),
        [
            "timeout",
            "client" | "server" | "tunnel" | "client-fin" | "queue" | "http-request",
            t,
        ] => duration(t).map(|_| true),
        _ => Ok(false),
    }
}

fn frontend(words: &[&str], it: &mut Frontend) -> Result<bool, String> {
    match words {
        ["mode", mode @ ("tcp" | "http")] => it.http = *mode == "http",
        ["bind", address] => {
            it.bind = Some(
                address
                    .parse()
                    .map_err(|_| format!("'bind' : invalid address: '{address}'"))?,
            );
        }
        ["monitor-uri", uri] if it.http => it.monitor_uri = Some((*uri).into()),
        ["default_backend", name] => it.backend = Some((*name).into()),
        words => return shared(words),
    }
    Ok(true)
}

fn backend(words: &[&str], it: &mut Backend) -> Result<bool, String> {
    match words {
        ["mode", "tcp"] => {}
        ["balance", kind @ ("leastconn" | "roundrobin")] => it.leastconn = *kind == "leastconn",
        ["retries", count] => it.retries = number(count)?,
        ["option", "redispatch"] | ["option", "redispatch", _] => it.redispatch = true,
        ["option", "httpchk"] => it.http_check = true,
        ["timeout", "connect", time] => it.connect = duration(time)?,
        ["timeout", "check", time] => it.check = duration(time)?,
        [
            "http-check",
            "send",
            "meth",
            "GET",
            "uri",
            uri,
            "ver",
            "HTTP/1.1",
            "hdr",
            "Host",
            _,
        ] => {
            it.uri = (*uri).into();
        }
        ["http-check", "expect", "status", codes] => {
            let codes = codes
                .split(',')
                .map(|code| number(code).map(|code| code as u16));
            it.expected = codes.collect::<Result<_, _>>()?;
        }
        ["default-server", options @ ..] => it.server = server(options, it.server.clone())?,
        ["server", name, address, options @ ..] => {
            let address = address
                .parse()
                .map_err(|_| format!("'server {name}' : invalid address: '{address}'"))?;
            let options = server(options, it.server.clone())?;
            if options.ssl && !options.unverified {
                return Err(format!(
                    "'server {name}' : verify is enabled by default but no CA file specified"
                ));
            }
            it.servers.push(((*name).into(), address, options));
        }
        words => return shared(words),
    }
    Ok(true)
}

fn server(words: &[&str], mut options: ServerOptions) -> Result<ServerOptions, String> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut value = || {
            rest.next()
                .copied()
                .ok_or(format!("'{word}' : missing value"))
        };
        match *word {
            "check" => options.check = true,
            "check-ssl" => options.ssl = true,
            "verify" if value()? == "none" => options.unverified = true,
            "inter" => options.inter = duration(value()?)?,
            "fastinter" => options.fastinter = Some(duration(value()?)?),
            "downinter" => options.downinter = Some(duration(value()?)?),
            "fall" => options.fall = number(value()?)? as u32,
            "rise" => options.rise = number(value()?)? as u32,
            "on-marked-down" if value()? == "shutdown-sessions" => options.shutdown_sessions = true,
            other => return Err(format!("'server' : unknown keyword '{other}'")),
        }
    }
    Ok(options)
}

fn number(word: &str) -> Result<usize, String> {
    word.parse().map_err(|_| format!("'{word}' is no number"))
}

fn duration(word: &str) -> Result<Duration, String> {
    crate::flags::duration(word).ok_or_else(|| format!("'{word}' is no time"))
}

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

    use super::*;

    const GOOD: &str = "
global
    maxconn 10
defaults
    mode tcp
    balance leastconn
    option redispatch 1
    retries 3
    timeout connect 500ms # short
    timeout check 1s
frontend f
    bind 127.0.0.1:0
    default_backend b
backend b
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kubernetes
    http-check expect status 200,401
    default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
    server a 192.0.2.11:6443
    server b [fd00::1]:6443
";

    #[test]
    fn what_is_not_known_is_refused() {
        let config = Config::parse(GOOD).unwrap();
        assert_eq!(config.backends[0].expected, [200, 401]);
        assert_eq!(config.backends[0].servers.len(), 2);
        for (from, to, why) in [
            (
                "retries",
                "retires",
                "[line 8] : unknown keyword 'retires 3'",
            ),
            ("500ms", "soon", "'soon' is no time"),
            ("verify none ", "", "no CA file"),
            ("fall 2", "falls 2", "unknown keyword 'falls'"),
            ("192.0.2.11:6443", "cp1", "invalid address: 'cp1'"),
            ("default_backend b", "default_backend c", "unable to find"),
            ("bind 127.0.0.1:0", "", "no listener"),
        ] {
            let error = Config::parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

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
