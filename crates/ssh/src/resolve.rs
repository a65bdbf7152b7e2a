//! From settings to a target: what the operator wrote, then `~/.ssh/config`,
//! then OpenSSH's defaults.

use std::path::PathBuf;
use std::time::Duration;

use crate::algorithms::Algorithms;
use crate::config::{not_none, split_words};
use crate::error::SshError;
use crate::hop::Hop;
use crate::known_hosts_command::KnownHostsCommand;
use crate::reading::Reading;
use crate::settings::{Settings, Workstation};
use crate::target::{HostKeyRules, IdentityFile, LoginRules, Route, Target, TcpOptions};
use crate::tokens::{expand_home, expand_tokens};

/// Time to connect when neither the settings nor `~/.ssh/config` say any.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `ConnectTimeout none`: about as long as Linux tries to connect.
const SYSTEM_CONNECT_TIMEOUT: Duration = Duration::from_secs(130);

/// Longest chain of jump hosts; a longer one is taken for a loop.
const MAX_JUMPS: usize = 8;

/// The keys that OpenSSH offers when none is named.
const DEFAULT_IDENTITIES: [&str; 5] = [
    "id_rsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
];

impl Target {
    /// Decides everything about the host that the operator calls `name`. Blocks: it reads files,
    /// and asks DNS if `CanonicalizeHostname` says so.
    ///
    /// # Errors
    ///
    /// A jump specification that makes no sense; an `ssh_config` that can't be read, or that says
    /// what can't be honoured.
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
    let wrong = |reason| SshError::Settings {
        host: name.into(),
        reason,
    };
    if depth > MAX_JUMPS {
        return Err(wrong(format!(
            "more than {MAX_JUMPS} jump hosts; is there a loop?"
        )));
    }
    let host = Reading::new(name, settings, workstation)?;
    let config = &host.config;
    host.require_login_by_key().map_err(wrong)?;
    let route = match config.proxy_jump() {
        Some(jumps) => {
            let hops = host.expand_hops(jumps).map_err(wrong)?;
            resolve_jumps(hops, settings, workstation, depth)?
        }
        None => host.resolve_direct_route().map_err(wrong)?,
    };
    Ok(Target {
        name: name.to_string(),
        route,
        host_key: host.resolve_host_key().map_err(wrong)?,
        login: host.resolve_login().map_err(wrong)?,
        algorithms: Algorithms::choose(&config.algorithms, config.required_rsa_size)
            .map_err(wrong)?,
        become_root: settings.become_root,
        become_password_file: settings.become_password_file.clone(),
        connect_timeout: match config.connect_timeout {
            None if config.has_no_connect_timeout => SYSTEM_CONNECT_TIMEOUT,
            None => DEFAULT_CONNECT_TIMEOUT,
            Some(Duration::ZERO) => SYSTEM_CONNECT_TIMEOUT,
            Some(timeout) => timeout,
        },
        warnings: host.list_warnings(),
        address: host.address,
        port: host.port,
        user: host.user,
    })
}

impl Reading<'_> {
    /// # Errors
    ///
    /// Keys, the only way to log in that we have, are not to be used.
    fn require_login_by_key(&self) -> Result<(), String> {
        let preferred = self.config.preferred_authentications.as_deref();
        let is_left_out = |list: &str| !list.split(',').any(|one| one == "publickey");
        let reason = if self.config.pubkey_authentication == Some(false) {
            "PubkeyAuthentication is `no`"
        } else if preferred.is_some_and(is_left_out) {
            "PreferredAuthentications leaves out `publickey`"
        } else {
            return Ok(());
        };
        Err(format!(
            "ssh_config has it that {reason} for {}; no other way to log in is supported",
            self.settings.address
        ))
    }

    fn resolve_login(&self) -> Result<LoginRules, String> {
        let certificates = &self.config.certificate_files;
        Ok(LoginRules {
            identities: self.resolve_identities()?,
            certificates: self.expand_paths("CertificateFile", certificates)?,
            identities_only: self.settings.private_key.is_some()
                || self.config.identities_only == Some(true),
            passphrase_file: self.settings.passphrase_file.clone(),
            agent: self.resolve_agent()?,
        })
    }

    fn resolve_identities(&self) -> Result<Vec<IdentityFile>, String> {
        let named = |path| IdentityFile { path, named: true };
        if let Some(key) = &self.settings.private_key {
            return Ok(vec![named(key.clone())]);
        }
        let files = &self.config.identity_files;
        if files.is_empty() {
            let default = |file| IdentityFile {
                path: self.workstation.home.join(".ssh").join(file),
                named: false,
            };
            return Ok(DEFAULT_IDENTITIES.map(default).to_vec());
        }
        let paths = self.expand_paths("IdentityFile", files)?;
        Ok(paths.into_iter().map(named).collect())
    }

    fn resolve_agent(&self) -> Result<Option<PathBuf>, String> {
        let socket = match self.config.identity_agent.as_deref() {
            _ if !self.settings.agent => return Ok(None),
            None | Some("SSH_AUTH_SOCK") => return Ok(self.workstation.agent.clone()),
            Some("none") => return Ok(None),
            Some(socket) => self.expand_path("IdentityAgent", socket)?,
        };
        // The old form of naming a variable: `$NAME`.
        match socket.to_str().and_then(|text| text.strip_prefix('$')) {
            Some(name) => Ok(std::env::var_os(name).map(PathBuf::from)),
            None => Ok(Some(socket)),
        }
    }

    fn resolve_host_key(&self) -> Result<HostKeyRules, String> {
        let alias = self.config.host_key_alias.as_ref();
        let revoked = self.config.revoked_host_keys.iter().flatten();
        Ok(HostKeyRules {
            name: alias.unwrap_or(&self.address).clone(),
            is_alias: alias.is_some(),
            files: self.resolve_known_hosts()?,
            command: self.resolve_known_hosts_command()?,
            revoked: self.expand_paths("RevokedHostKeys", revoked)?,
            check_address: self.config.check_host_ip == Some(true),
        })
    }

    fn resolve_known_hosts(&self) -> Result<Vec<PathBuf>, String> {
        let mut files = self.settings.known_hosts.clone();
        let home = &self.workstation.home;
        match &self.config.user_known_hosts {
            Some(user) => files.extend(self.expand_paths("UserKnownHostsFile", user)?),
            None => files
                .extend(["known_hosts", "known_hosts2"].map(|file| home.join(".ssh").join(file))),
        }
        match &self.config.global_known_hosts {
            // No tokens in this one.
            Some(global) => {
                for file in global.iter().filter(|file| not_none(Some(file)).is_some()) {
                    files.push(expand_home(file, home)?.into());
                }
            }
            None => files.extend(self.workstation.system_known_hosts.iter().cloned()),
        }
        Ok(files)
    }

    fn resolve_known_hosts_command(&self) -> Result<Option<KnownHostsCommand>, String> {
        let Some(command) = not_none(self.config.known_hosts_command.as_deref()) else {
            return Ok(None);
        };
        let words = split_words(command, false).unwrap_or_default();
        KnownHostsCommand::new(words, self.tokens.clone())
            .map(Some)
            .ok_or_else(|| {
                format!("KnownHostsCommand {command:?} is not an absolute path and arguments")
            })
    }

    /// The way there, if not through jump hosts.
    fn resolve_direct_route(&self) -> Result<Route, String> {
        let config = &self.config;
        let Some(command) = config.proxy_command() else {
            return Ok(Route::Direct(TcpOptions {
                family: config.address_family.unwrap_or_default(),
                bind_address: config.bind_address.clone(),
                bind_interface: config.bind_interface.clone(),
                attempts: config.connection_attempts.unwrap_or(1).max(1),
            }));
        };
        if config.proxy_use_fdpass == Some(true) || command == "-" {
            return Err(format!(
                "ProxyCommand {command:?} with ProxyUseFdpass is not supported"
            ));
        }
        let mut tokens = self.tokens.clone();
        tokens.retain(|(letter, _)| matches!(letter, 'h' | 'k' | 'n' | 'p' | 'r'));
        expand_tokens(command, &tokens)
            .map(Route::Command)
            .map_err(|why| format!("ProxyCommand {command:?}: {why}"))
    }

    fn expand_hops(&self, jumps: &str) -> Result<Vec<Hop>, String> {
        let expand = |text: &str| {
            expand_tokens(text, &self.tokens).map_err(|why| format!("ProxyJump {jumps}: {why}"))
        };
        let mut hops = Hop::parse_list(jumps)?;
        for hop in &mut hops {
            hop.host = expand(&hop.host)?;
            hop.user = hop.user.as_deref().map(expand).transpose()?;
        }
        Ok(hops)
    }

    fn list_warnings(&self) -> Vec<String> {
        let provider = not_none(self.config.pkcs11_provider.as_deref());
        let text = |provider| {
            format!(
                "PKCS11Provider in ssh_config is not supported; load its keys into the agent: \
                 `ssh-add -s {provider}`"
            )
        };
        provider.map(text).into_iter().collect()
    }
}

/// The last of several jump hosts, the others behind it. The first is reached
/// as `~/.ssh/config` says, the others through the one before.
fn resolve_jumps(
    hops: Vec<Hop>,
    settings: &Settings,
    workstation: &Workstation,
    depth: usize,
) -> Result<Route, SshError> {
    let mut behind: Option<Target> = None;
    for (index, hop) in hops.into_iter().enumerate() {
        let jump = Settings {
            user: hop.user,
            port: hop.port,
            // The operator's own choices hold for every hop; what concerns
            // the target alone (sudo, its own jump) does not.
            private_key: settings.private_key.clone(),
            passphrase_file: settings.passphrase_file.clone(),
            agent: settings.agent,
            proxy_jump: (index > 0).then(|| "none".to_string()),
            known_hosts: settings.known_hosts.clone(),
            connect_timeout: settings.connect_timeout,
            use_ssh_config: settings.use_ssh_config,
            ..Settings::new(hop.host)
        };
        let depth = depth + 1 + index;
        let mut target = resolve_target(&jump.address.clone(), &jump, workstation, depth)?;
        // An explicit key is for the target, but often also the jump host's;
        // beside it, the keys that `~/.ssh/config` names for the jump host.
        if settings.private_key.is_some() {
            let own = Settings {
                private_key: None,
                ..jump
            };
            let own = resolve_target(&target.name, &own, workstation, depth)?;
            target.login.identities_only = own.login.identities_only;
            target.login.identities.extend(own.login.identities);
        }
        if let Some(behind) = behind.take() {
            target.route = Route::Jump(Box::new(behind));
        }
        behind = Some(target);
    }
    Ok(match behind {
        Some(jump) => Route::Jump(Box::new(jump)),
        None => Route::Direct(TcpOptions::default()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn workstation(dir: &Path, config: &str) -> Workstation {
        std::fs::create_dir_all(dir.join(".ssh")).unwrap();
        std::fs::write(dir.join(".ssh/config"), config).unwrap();
        Workstation {
            home: dir.to_path_buf(),
            user: "me".into(),
            uid: 1000,
            host_name: "laptop.example.com".into(),
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
        let login = &target.login;
        assert_eq!(login.identities[0].path, dir.path().join(".ssh/id_rsa"));
        assert!(login.identities.iter().all(|identity| !identity.named));
        assert_eq!(login.agent.as_deref(), Some(Path::new("/run/agent")));
        let files = &target.host_key.files;
        assert_eq!(files[0], dir.path().join(".ssh/known_hosts"));
        assert_eq!(target.connect_timeout, Duration::from_secs(10));
        assert!(matches!(&target.route, Route::Direct(options) if options.attempts == 1));
    }

    #[test]
    fn settings_win_over_the_config() {
        let config = "Host web\nHostName 192.0.2.9\nUser theirs\nPort 2200\nIdentityFile ~/k\n\
                      UserKnownHostsFile ~/kh %d/kh2\nConnectTimeout 3\nHostKeyAlias fixed\n";
        let target = resolved(config, &Settings::new("web"));
        assert_eq!(target.endpoint(), "192.0.2.9:2200");
        assert_eq!(target.host_key.name, "fixed");
        assert_eq!(target.user, "theirs");
        assert!(target.host_key.files[1].ends_with("kh2"));
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
            target.login.identities,
            [IdentityFile {
                path: "/k".into(),
                named: true
            }]
        );
        assert!(target.login.identities_only);
        assert_eq!(target.host_key.files[0], Path::new("/project/known_hosts"));
        assert_eq!(target.connect_timeout, Duration::from_secs(7));
        let settings = Settings {
            use_ssh_config: false,
            ..Settings::new("web")
        };
        assert_eq!(resolved(config, &settings).endpoint(), "web:22");
    }

    /// The hosts on the way, the nearest first.
    fn hops(target: &Target) -> Vec<&Target> {
        let mut hops = vec![target];
        while let Route::Jump(jump) = &hops[hops.len() - 1].route {
            hops.push(jump);
        }
        hops.reverse();
        hops
    }

    #[test]
    fn jumps_are_resolved_like_hosts_and_chain() {
        let config = "Host b1\nHostName bastion.example.com\nProxyJump outer\nHost b2\nProxyJump unused\n\
                      Host outer\nPort 2022\nHost inner\nProxyJump b1,ops@b2:2222\n";
        let target = resolved(config, &Settings::new("inner"));
        let hops = hops(&target);
        let logins: Vec<_> = hops
            .iter()
            .map(|hop| format!("{}@{}", hop.user, hop.endpoint()))
            .collect();
        assert_eq!(
            logins,
            [
                "me@outer:2022",
                "me@bastion.example.com:22",
                "ops@b2:2222",
                "me@inner:22"
            ]
        );
        let none = Settings {
            proxy_jump: Some("none".into()),
            ..Settings::new("inner")
        };
        let direct = resolved(config, &none);
        assert!(matches!(direct.route, Route::Direct(_)));
    }

    #[test]
    fn a_jump_host_keeps_the_keys_of_its_own() {
        let config = "Host b\nIdentityFile /bastion-key\n";
        let settings = Settings {
            private_key: Some("/target-key".into()),
            proxy_jump: Some("b".into()),
            ..Settings::new("inner")
        };
        let target = resolved(config, &settings);
        let paths: Vec<_> = hops(&target)[0]
            .login
            .identities
            .iter()
            .map(|identity| identity.path.clone())
            .collect();
        assert_eq!(paths, [Path::new("/target-key"), Path::new("/bastion-key")]);
    }

    #[test]
    fn tokens_and_variables_in_paths() {
        let path = std::env::var("PATH").unwrap();
        let config = "HostKeyAlias k\nUserKnownHostsFile ~/%%/%h-%n-%k-%p-%r-%u-%i-%l-%L-%d-%j ${PATH}\n\
                      IdentityFile %r@%h\nCertificateFile ~/%n\nIdentityAgent ~/%u\nRevokedHostKeys %d/%C\n\
                      GlobalKnownHostsFile ~/%h\nHostName %h.example\nUser ops\n";
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        let station = workstation(dir.path(), config);
        let target = Target::resolve("cp1", &Settings::new("web"), &station).unwrap();
        let files: Vec<_> = target
            .host_key
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let all =
            format!("{home}/%/web.example-web-k-22-ops-me-1000-laptop.example.com-laptop-{home}-");
        assert_eq!(files, [all, path, format!("{home}/%h")]);
        let login = &target.login;
        assert_eq!(login.identities[0].path, Path::new("ops@web.example"));
        assert_eq!(login.certificates, [dir.path().join("web")]);
        assert_eq!(login.agent, Some(dir.path().join("me")));
        let hash = target.host_key.revoked[0]
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_string();
        assert_eq!(hash.len(), 40, "{hash}");
        for wrong in [
            "IdentityFile %z",
            "UserKnownHostsFile ${NO_SUCH_VARIABLE}",
            "HostName %p",
        ] {
            let station = workstation(dir.path(), wrong);
            let error = Target::resolve("cp1", &Settings::new("web"), &station).unwrap_err();
            assert!(error.to_string().starts_with("cp1: "), "{error}");
        }
    }

    #[test]
    fn timeouts() {
        let timeout = |config| resolved(config, &Settings::new("a")).connect_timeout;
        assert_eq!(timeout("ConnectTimeout 1m"), Duration::from_secs(60));
        assert_eq!(timeout("ConnectTimeout none"), SYSTEM_CONNECT_TIMEOUT);
        let later = "ConnectTimeout none\nConnectTimeout 3";
        assert_eq!(timeout(later), Duration::from_secs(3));
        assert_eq!(timeout("ConnectTimeout 0"), SYSTEM_CONNECT_TIMEOUT);
    }

    #[test]
    fn what_cannot_be_honoured_is_an_error_and_what_nearly_can_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let error = |config: &str| {
            let station = workstation(dir.path(), config);
            let error = Target::resolve("cp1", &Settings::new("web"), &station).unwrap_err();
            error
                .to_string()
                .replace(&dir.path().display().to_string(), "~")
        };
        insta::assert_snapshot!(error("\nMatch exec true\n"), @"~/.ssh/config:2: `Match exec` is not supported");
        insta::assert_snapshot!(error("Frobnicate yes"), @"~/.ssh/config:1: unknown keyword `frobnicate`");
        insta::assert_snapshot!(
            error("PubkeyAuthentication no"),
            @"cp1: ssh_config has it that PubkeyAuthentication is `no` for web; no other way to log in is supported"
        );
        assert!(error("PreferredAuthentications password").contains("leaves out `publickey`"));
        assert!(
            error("ProxyCommand nc %h\nProxyUseFdpass yes")
                .contains("ProxyUseFdpass is not supported")
        );
        assert!(error("ProxyCommand nc ${X} %z").contains("unknown token `%z`"));
        assert!(error("KnownHostsCommand echo %H").contains("is not an absolute path"));
        assert!(error("RefuseConnection closed for repair").contains(":1:"));
        assert!(error("Ciphers 3des-cbc").contains("leaves no supported algorithm"));
        let target = resolved("PKCS11Provider /usr/lib/x.so", &Settings::new("web"));
        assert!(target.warnings[0].contains("ssh-add -s /usr/lib/x.so"));
        assert!(
            resolved("PKCS11Provider none", &Settings::new("web"))
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn names_that_a_shell_would_act_on_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let station = workstation(dir.path(), "");
        assert!(Target::resolve("x", &Settings::new("a;b"), &station).is_err());
        let settings = Settings {
            user: Some("-oProxyCommand=x".into()),
            ..Settings::new("a")
        };
        assert!(Target::resolve("x", &settings, &station).is_err());
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
}
