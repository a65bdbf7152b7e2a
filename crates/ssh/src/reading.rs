//! One host, as the operator's settings and `~/.ssh/config` have it.

use std::net::ToSocketAddrs;
use std::path::PathBuf;

use crate::canonical::canonicalize;
use crate::config::{CanonicalizeMode, HostConfig, Question, not_none, read_config};
use crate::error::SshError;
use crate::hop::Hop;
use crate::settings::{Settings, Workstation};
use crate::tokens::{Names, Token, expand_all, expand_home, expand_tokens};
use crate::valid::{is_valid_host, is_valid_user};

/// One host, as far as it is decided: the others of its values depend on these.
pub(crate) struct Reading<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) workstation: &'a Workstation,
    pub(crate) config: HostConfig,
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) tokens: Vec<Token>,
}

impl<'a> Reading<'a> {
    /// Reads the files, twice if need be.
    pub(crate) fn new(
        name: &str,
        settings: &'a Settings,
        workstation: &'a Workstation,
    ) -> Result<Self, SshError> {
        let wrong = |reason| SshError::Settings {
            host: name.into(),
            reason,
        };
        let user = settings.user.as_ref();
        if !is_valid_host(&settings.address) || user.is_some_and(|user| !is_valid_user(user)) {
            let text = match user {
                Some(user) => format!("{user}@{}", settings.address),
                None => settings.address.clone(),
            };
            return Err(wrong(format!("{text:?} has characters that `ssh` refuses")));
        }
        let (config, address) = read_twice(settings, workstation, &wrong)?;
        let port = config.port.unwrap_or(22);
        let jump = match config.proxy_jump() {
            Some(jumps) => Hop::parse_list(jumps).map_err(wrong)?.pop(),
            None => None,
        };
        let mut names = Names {
            host: &address,
            original: &settings.address,
            key_alias: config.host_key_alias.as_ref().unwrap_or(&settings.address),
            port,
            user: "",
            jump: jump.as_ref().map_or("", |hop| &hop.host),
        };
        let user = match (&settings.user, &config.user) {
            (Some(user), _) => user.clone(),
            (None, None) => workstation.user.clone(),
            (None, Some(user)) => {
                let mut tokens = names.tokens(workstation);
                tokens.retain(|(letter, _)| !matches!(letter, 'r' | 'C'));
                let expanded = expand_all(user, &tokens)
                    .map_err(|why| wrong(format!("User {user}: {why}")))?;
                if expanded != *user && !is_valid_user(&expanded) {
                    return Err(wrong(format!(
                        "User {expanded:?} has characters that `ssh` refuses"
                    )));
                }
                expanded
            }
        };
        names.user = &user;
        let tokens = names.tokens(workstation);
        Ok(Reading {
            settings,
            workstation,
            address,
            port,
            user,
            tokens,
            config,
        })
    }

    /// A list of files as it was written; `none` in it means no file.
    pub(crate) fn expand_paths<'b>(
        &self,
        keyword: &str,
        files: impl IntoIterator<Item = &'b String>,
    ) -> Result<Vec<PathBuf>, String> {
        let files = files
            .into_iter()
            .filter(|file| not_none(Some(file)).is_some());
        files.map(|file| self.expand_path(keyword, file)).collect()
    }

    /// A path with `~`, tokens and variables.
    pub(crate) fn expand_path(&self, keyword: &str, text: &str) -> Result<PathBuf, String> {
        expand_home(text, &self.workstation.home)
            .and_then(|path| expand_all(&path, &self.tokens))
            .map(PathBuf::from)
            .map_err(|why| format!("{keyword} {text}: {why}"))
    }
}

/// What the files say, and the name to connect to. Once that is decided, the files are read again
/// if they want it: more of them may apply then.
fn read_twice(
    settings: &Settings,
    workstation: &Workstation,
    wrong: &impl Fn(String) -> SshError,
) -> Result<(HostConfig, String), SshError> {
    // What the operator wrote comes first, as if it were on the command line of `ssh`.
    let given = HostConfig {
        user: settings.user.clone(),
        port: settings.port,
        connect_timeout: settings.connect_timeout,
        ..HostConfig::default()
    };
    let given = given
        .with_jump(settings.proxy_jump.as_deref())
        .map_err(wrong)?;
    let original = settings.address.as_str();
    if !settings.use_ssh_config {
        let address = canonicalize(original, &given.canonicalize, true, |_| false);
        return Ok((given, address.map_err(wrong)?));
    }
    let question = Question {
        workstation,
        original,
        canonical: None,
    };
    let (mut config, wants_final) = read_config(&question, given)?;
    let host = match &config.host_name {
        Some(name) => expand_tokens(name, &[('h', original.to_string())])
            .map_err(|why| wrong(format!("HostName {name}: {why}")))?,
        None => original.to_string(),
    };
    let direct = config.proxy_jump().is_none() && config.proxy_command().is_none();
    let port = config.port.unwrap_or(22);
    let exists = |name: &str| {
        (name, port)
            .to_socket_addrs()
            .is_ok_and(|mut all| all.next().is_some())
    };
    let address = canonicalize(&host, &config.canonicalize, direct, exists).map_err(wrong)?;
    // That is done now, and no second reading can ask for it.
    let mode = *config.canonicalize.mode.get_or_insert_default();
    if !wants_final && mode == CanonicalizeMode::No {
        return Ok((config, address));
    }
    let again = Question {
        canonical: Some(&address),
        ..question
    };
    let (config, _) = read_config(&again, config)?;
    Ok((config, address))
}
