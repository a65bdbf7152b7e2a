//! From settings to a target: what the operator wrote, then `~/.ssh/config`,
//! then OpenSSH's defaults.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{self, Files, HostConfig};
use crate::error::SshError;
use crate::settings::{Settings, Workstation};
use crate::target::{IdentityFile, Target};

/// Time to connect when neither the settings nor `~/.ssh/config` say any.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest chain of jump hosts; a longer one is taken for a loop.
const MAX_JUMPS: usize = 8;

impl Target {
    /// Decides everything about the host that the operator calls `name`.
    ///
    /// # Errors
    ///
    /// A jump specification that makes no sense, or an `ssh_config` that can't
    /// be read.
    pub fn resolve(
        name: &str,
        settings: &Settings,
        workstation: &Workstation,
    ) -> Result<Target, SshError> {
        resolve_target(name, settings, workstation, 0)
    }
}

fn resolve_target(
    name: &str,
    settings: &Settings,
    workstation: &Workstation,
    depth: usize,
) -> Result<Target, SshError> {
    if depth > MAX_JUMPS {
        return Err(SshError::Settings {
            host: name.into(),
            reason: format!("more than {MAX_JUMPS} jump hosts; is there a loop?"),
        });
    }
    let host = Resolver::new(settings, workstation)?;
    let (jump_text, warnings) = host.find_jump_text();
    let jump = match jump_text {
        None => None,
        Some(text) => resolve_jumps(name, &text, settings, workstation, depth)?,
    };
    let config = &host.config;
    Ok(Target {
        name: name.to_string(),
        host_key_alias: config.host_key_alias.is_some(),
        host_key_name: config
            .host_key_alias
            .clone()
            .unwrap_or_else(|| host.address.clone()),
        identities: host.resolve_identities(),
        identities_only: settings.private_key.is_some() || config.identities_only == Some(true),
        passphrase_file: settings.passphrase_file.clone(),
        agent: host.resolve_agent(),
        become_root: settings.become_root,
        become_password_file: settings.become_password_file.clone(),
        jump: jump.map(Box::new),
        known_hosts: host.resolve_known_hosts(),
        connect_timeout: settings
            .connect_timeout
            .or(config.connect_timeout)
            .unwrap_or(DEFAULT_CONNECT_TIMEOUT),
        warnings,
        address: host.address,
        port: host.port,
        user: host.user,
    })
}

/// One host, as far as it is decided: the others of its values depend on these.
struct Resolver<'a> {
    settings: &'a Settings,
    workstation: &'a Workstation,
    config: HostConfig,
    address: String,
    port: u16,
    user: String,
}

impl<'a> Resolver<'a> {
    fn new(settings: &'a Settings, workstation: &'a Workstation) -> Result<Self, SshError> {
        let config = if settings.use_ssh_config {
            let files = Files {
                home: &workstation.home,
                user: workstation.ssh_config.as_deref(),
                system: workstation.system_config.as_deref(),
            };
            config::query_config(&files, &settings.address)
                .map_err(|(path, source)| SshError::File { path, source })?
        } else {
            HostConfig::default()
        };
        let user = settings.user.as_ref().or(config.user.as_ref());
        let mut host = Resolver {
            settings,
            workstation,
            address: settings.address.clone(),
            port: settings.port.or(config.port).unwrap_or(22),
            user: user.unwrap_or(&workstation.user).clone(),
            config,
        };
        // A %h in HostName is the name as the operator wrote it; in all other
        // values, it is what HostName made of that.
        if let Some(host_name) = &host.config.host_name {
            host.address = host.expand_tokens(host_name);
        }
        Ok(host)
    }

    fn resolve_identities(&self) -> Vec<IdentityFile> {
        let named = |path| IdentityFile { path, named: true };
        if let Some(key) = &self.settings.private_key {
            return vec![named(key.clone())];
        }
        let files = &self.config.identity_files;
        if files.is_empty() {
            return ["id_ed25519", "id_ecdsa", "id_rsa"]
                .map(|file| IdentityFile {
                    path: self.workstation.home.join(".ssh").join(file),
                    named: false,
                })
                .to_vec();
        }
        self.expand_paths(files).map(named).collect()
    }

    fn resolve_known_hosts(&self) -> Vec<PathBuf> {
        let mut files = self.settings.known_hosts.clone();
        match &self.config.user_known_hosts {
            Some(user) => files.extend(self.expand_paths(user)),
            None => files.extend(
                ["known_hosts", "known_hosts2"]
                    .map(|file| self.workstation.home.join(".ssh").join(file)),
            ),
        }
        match &self.config.global_known_hosts {
            Some(global) => files.extend(self.expand_paths(global)),
            None => files.extend(self.workstation.system_known_hosts.iter().cloned()),
        }
        files
    }

    fn resolve_agent(&self) -> Option<PathBuf> {
        match self.config.identity_agent.as_deref() {
            _ if !self.settings.agent => None,
            None | Some("SSH_AUTH_SOCK") => self.workstation.agent.clone(),
            Some("none") => None,
            Some(variable) if variable.starts_with('$') => {
                let name = variable.trim_start_matches('$').trim_matches(['{', '}']);
                std::env::var_os(name).map(PathBuf::from)
            }
            Some(socket) => Some(self.expand_path(socket)),
        }
    }

    /// The jump hosts as they were written, and all that the operator should
    /// know about the configuration.
    fn find_jump_text(&self) -> (Option<String>, Vec<String>) {
        let (settings, config) = (self.settings, &self.config);
        let mut warnings = config.warnings.clone();
        let jump = settings.proxy_jump.as_ref().or(config.proxy_jump.as_ref());
        if jump.is_none()
            && let Some(command) = config.proxy_command.as_deref()
            && !command.eq_ignore_ascii_case("none")
        {
            warnings.push(format!(
                "ProxyCommand for {} is not supported and was ignored; use ProxyJump",
                settings.address
            ));
        }
        (jump.map(|text| self.expand_tokens(text)), warnings)
    }

    /// A list of files as it was written; `none` in it stands for no file.
    fn expand_paths(&self, files: &[String]) -> impl Iterator<Item = PathBuf> {
        files
            .iter()
            .filter(|file| !file.eq_ignore_ascii_case("none"))
            .map(|file| self.expand_path(file))
    }

    fn expand_path(&self, text: &str) -> PathBuf {
        config::expand_home(&self.expand_tokens(text), &self.workstation.home)
    }

    /// Replaces the `%` tokens of `ssh_config` that make sense before a
    /// connection exists.
    fn expand_tokens(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some('h') => out.push_str(&self.address),
                Some('n' | 'k') => out.push_str(&self.settings.address),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(&self.user),
                Some('u') => out.push_str(&self.workstation.user),
                Some('d') => out.push_str(&self.workstation.home.to_string_lossy()),
                Some(other) => out.extend(['%', other]),
                None => out.push('%'),
            }
        }
        out
    }
}

/// The last of a comma-separated list of jump hosts, the others behind it. The
/// first is reached as `~/.ssh/config` says, the others through the one before.
fn resolve_jumps(
    name: &str,
    text: &str,
    settings: &Settings,
    workstation: &Workstation,
    depth: usize,
) -> Result<Option<Target>, SshError> {
    if text.trim().is_empty() || text.trim().eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let mut behind: Option<Target> = None;
    for (index, hop) in text.split(',').enumerate() {
        let (user, address, port) = parse_hop(hop.trim()).ok_or_else(|| SshError::Settings {
            host: name.into(),
            reason: format!("{hop:?} is not a jump host; write [user@]host[:port]"),
        })?;
        let jump = Settings {
            user,
            port,
            // The operator's own choices hold for every hop; what concerns
            // the target alone (sudo, its own jump) does not.
            private_key: settings.private_key.clone(),
            passphrase_file: settings.passphrase_file.clone(),
            agent: settings.agent,
            proxy_jump: (index > 0).then(|| "none".to_string()),
            known_hosts: settings.known_hosts.clone(),
            connect_timeout: settings.connect_timeout,
            use_ssh_config: settings.use_ssh_config,
            ..Settings::new(address)
        };
        let mut target =
            resolve_target(&jump.address.clone(), &jump, workstation, depth + 1 + index)?;
        // An explicit key is for the target, but often also the jump host's;
        // beside it, the keys that `~/.ssh/config` names for the jump host.
        if settings.private_key.is_some() {
            let own = Settings {
                private_key: None,
                ..jump
            };
            let own = resolve_target(&target.name, &own, workstation, depth + 1 + index)?;
            target.identities_only = own.identities_only;
            target.identities.extend(own.identities);
        }
        if let Some(behind) = behind.take() {
            target.jump = Some(Box::new(behind));
        }
        behind = Some(target);
    }
    Ok(behind)
}

/// `[user@]host[:port]` or `ssh://[user@]host[:port]`, IPv6 in brackets.
fn parse_hop(hop: &str) -> Option<(Option<String>, String, Option<u16>)> {
    let hop = hop
        .strip_prefix("ssh://")
        .unwrap_or(hop)
        .trim_end_matches('/');
    let (user, rest) = match hop.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_string()), rest),
        None => (None, hop),
    };
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        match after {
            "" => (host, None),
            _ => (host, Some(after.strip_prefix(':')?)),
        }
    } else if rest.matches(':').count() > 1 {
        (rest, None)
    } else {
        match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    if host.is_empty() || host.contains(char::is_whitespace) || user.as_deref() == Some("") {
        return None;
    }
    Some((user, host.to_string(), port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn workstation(dir: &Path, config: &str) -> Workstation {
        std::fs::create_dir_all(dir.join(".ssh")).unwrap();
        std::fs::write(dir.join(".ssh/config"), config).unwrap();
        Workstation {
            home: dir.to_path_buf(),
            user: "me".into(),
            ssh_config: Some(dir.join(".ssh/config")),
            system_config: None,
            agent: Some("/run/agent".into()),
            system_known_hosts: vec!["/etc/ssh/ssh_known_hosts".into()],
        }
    }

    fn resolved(config: &str, settings: &Settings) -> Target {
        let dir = tempfile::tempdir().unwrap();
        Target::resolve("cp1", settings, &workstation(dir.path(), config)).unwrap()
    }

    #[test]
    fn defaults_are_those_of_openssh() {
        let dir = tempfile::tempdir().unwrap();
        let station = workstation(dir.path(), "");
        let target = Target::resolve("cp1", &Settings::new("192.0.2.1"), &station).unwrap();
        assert_eq!((target.user.as_str(), target.port), ("me", 22));
        assert_eq!(
            target.identities[0].path,
            dir.path().join(".ssh/id_ed25519")
        );
        assert!(target.identities.iter().all(|identity| !identity.named));
        assert_eq!(target.known_hosts[0], dir.path().join(".ssh/known_hosts"));
        assert_eq!(target.agent.as_deref(), Some(Path::new("/run/agent")));
        assert_eq!(target.connect_timeout, Duration::from_secs(10));
        assert!(target.jump.is_none());
    }

    #[test]
    fn settings_win_over_the_config() {
        let config = "Host web\nHostName 192.0.2.9\nUser theirs\nPort 2200\nIdentityFile ~/k\n\
                      UserKnownHostsFile ~/kh %d/kh2\nConnectTimeout 3\nHostKeyAlias fixed\n";
        let target = resolved(config, &Settings::new("web"));
        assert_eq!(target.endpoint(), "192.0.2.9:2200");
        assert_eq!(target.host_key_name, "fixed");
        assert_eq!(target.user, "theirs");
        assert!(target.known_hosts[1].ends_with("kh2"));
        assert_eq!(target.connect_timeout, Duration::from_secs(3));
        let settings = Settings {
            user: Some("mine".into()),
            port: Some(22),
            private_key: Some("/k".into()),
            known_hosts: vec!["/project/known_hosts".into()],
            connect_timeout: Some(Duration::from_secs(7)),
            ..Settings::new("web")
        };
        let target = resolved(config, &settings);
        assert_eq!((target.user.as_str(), target.port), ("mine", 22));
        assert_eq!(
            target.identities,
            [IdentityFile {
                path: "/k".into(),
                named: true
            }]
        );
        assert!(target.identities_only);
        assert_eq!(target.known_hosts[0], Path::new("/project/known_hosts"));
        assert_eq!(target.connect_timeout, Duration::from_secs(7));
        let settings = Settings {
            use_ssh_config: false,
            ..Settings::new("web")
        };
        assert_eq!(resolved(config, &settings).endpoint(), "web:22");
    }

    #[test]
    fn jumps_are_resolved_like_hosts_and_chain() {
        let config = "Host b1\nHostName bastion.example.com\nProxyJump outer\nHost b2\nProxyJump unused\n\
                      Host outer\nPort 2022\nHost inner\nProxyJump b1,ops@b2:2222\n";
        let target = resolved(config, &Settings::new("inner"));
        let mut hops: Vec<_> = std::iter::successors(Some(&target), |hop| hop.jump.as_deref())
            .map(Target::endpoint)
            .collect();
        hops.reverse();
        assert_eq!(
            hops,
            [
                "outer:2022",
                "bastion.example.com:22",
                "b2:2222",
                "inner:22"
            ]
        );
        let b2 = target.jump.unwrap();
        assert_eq!(
            (b2.user.as_str(), b2.endpoint().as_str()),
            ("ops", "b2:2222")
        );
        let b1 = b2.jump.unwrap();
        assert_eq!(b1.endpoint(), "bastion.example.com:22");
        let outer = b1.jump.unwrap();
        assert_eq!(outer.endpoint(), "outer:2022");
        assert!(outer.jump.is_none());
        let none = Settings {
            proxy_jump: Some("none".into()),
            ..Settings::new("inner")
        };
        assert!(resolved(config, &none).jump.is_none());
    }

    #[test]
    fn a_jump_host_keeps_the_keys_of_its_own() {
        let config = "Host b\nIdentityFile /bastion-key\n";
        let settings = Settings {
            private_key: Some("/target-key".into()),
            proxy_jump: Some("b".into()),
            ..Settings::new("inner")
        };
        let jump = resolved(config, &settings).jump.unwrap();
        let paths: Vec<_> = jump
            .identities
            .iter()
            .map(|identity| identity.path.clone())
            .collect();
        assert_eq!(paths, [Path::new("/target-key"), Path::new("/bastion-key")]);
    }

    #[test]
    fn loops_and_nonsense_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let station = workstation(dir.path(), "Host a\nProxyJump b\nHost b\nProxyJump a\n");
        let error = Target::resolve("x", &Settings::new("a"), &station).unwrap_err();
        assert!(error.to_string().contains("loop"), "{error}");
        for text in ["a b", "a:port", "@a", ",", "a:0"] {
            let settings = Settings {
                proxy_jump: Some(text.into()),
                ..Settings::new("z")
            };
            assert!(Target::resolve("x", &settings, &station).is_err(), "{text}");
        }
    }

    #[test]
    fn hops() {
        let hop = |text| parse_hop(text).unwrap();
        assert_eq!(hop("u@h:22"), (Some("u".into()), "h".into(), Some(22)));
        assert_eq!(hop("[fd00::1]:23"), (None, "fd00::1".into(), Some(23)));
        assert_eq!(hop("fd00::1"), (None, "fd00::1".into(), None));
        assert_eq!(hop("ssh://u@h/"), (Some("u".into()), "h".into(), None));
    }

    proptest! {
        #[test]
        fn hops_never_panic(text in "\\PC{0,30}") {
            parse_hop(&text);
        }
    }
}
