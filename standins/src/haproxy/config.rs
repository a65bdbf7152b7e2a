//! haproxy's configuration, as far as it is known.

use std::net::SocketAddr;
use std::time::Duration;

/// What a configuration says.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Config {
    pub(super) frontends: Vec<Frontend>,
    pub(super) backends: Vec<Backend>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Frontend {
    pub(super) name: String,
    pub(super) http: bool,
    pub(super) bind: Option<SocketAddr>,
    pub(super) monitor_uri: Option<String>,
    pub(super) backend: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) leastconn: bool,
    pub(super) retries: usize,
    pub(super) redispatch: bool,
    pub(super) connect: Duration,
    pub(super) check: Duration,
    pub(super) http_check: bool,
    pub(super) uri: String,
    pub(super) expected: Vec<u16>,
    pub(super) server: ServerOptions,
    pub(super) servers: Vec<(String, SocketAddr, ServerOptions)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServerOptions {
    pub(super) check: bool,
    pub(super) ssl: bool,
    pub(super) unverified: bool,
    pub(super) inter: Duration,
    pub(super) fastinter: Option<Duration>,
    pub(super) downinter: Option<Duration>,
    pub(super) fall: u32,
    pub(super) rise: u32,
    pub(super) shutdown_sessions: bool,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const GOOD: &str = "
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
}
