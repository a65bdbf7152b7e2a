//! What the files say about one host, keyword by keyword.

use std::time::Duration;

use super::keywords::makes_no_difference;
use super::line::Line;
use super::value::{parse_number, parse_port, parse_time, parse_yes_no};
use crate::hop::Hop;

/// What the files say about one host, as it is written there. `None`: nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostConfig {
    pub(crate) tag: Option<String>,
    pub(crate) host_name: Option<String>,
    pub(crate) host_key_alias: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) identity_files: Vec<String>,
    pub(crate) certificate_files: Vec<String>,
    pub(crate) identities_only: Option<bool>,
    pub(crate) identity_agent: Option<String>,
    pub(crate) pkcs11_provider: Option<String>,
    pub(crate) pubkey_authentication: Option<bool>,
    pub(crate) preferred_authentications: Option<String>,
    /// Jump hosts or `none`.
    pub(crate) proxy_jump: Option<String>,
    /// `none` if jump hosts came first.
    pub(crate) proxy_command: Option<String>,
    pub(crate) proxy_use_fdpass: Option<bool>,
    pub(crate) address_family: Option<AddressFamily>,
    pub(crate) bind_address: Option<String>,
    pub(crate) bind_interface: Option<String>,
    /// Zero: as long as the system tries.
    pub(crate) connect_timeout: Option<Duration>,
    /// `ConnectTimeout none`, which a later time still replaces.
    pub(crate) has_no_connect_timeout: bool,
    pub(crate) connection_attempts: Option<u32>,
    pub(crate) user_known_hosts: Option<Vec<String>>,
    pub(crate) global_known_hosts: Option<Vec<String>>,
    pub(crate) known_hosts_command: Option<String>,
    pub(crate) revoked_host_keys: Option<Vec<String>>,
    pub(crate) check_host_ip: Option<bool>,
    pub(crate) required_rsa_size: Option<u32>,
    pub(crate) algorithms: AlgorithmLists,
    pub(crate) canonicalize: Canonicalize,
    pub(crate) ignore_unknown: Option<String>,
}

/// Which addresses of a host are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AddressFamily {
    /// All.
    #[default]
    Any,
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// Lists of algorithms, as they are written: with `+`, `-`, `^` and patterns.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlgorithmLists {
    pub(crate) ciphers: Option<String>,
    pub(crate) macs: Option<String>,
    pub(crate) kex: Option<String>,
    pub(crate) host_key: Option<String>,
    pub(crate) pubkey: Option<String>,
    pub(crate) ca_signature: Option<String>,
}

/// How a host's name becomes its full name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canonicalize {
    pub(crate) mode: Option<CanonicalizeMode>,
    pub(crate) domains: Option<Vec<String>>,
    pub(crate) max_dots: Option<u32>,
    pub(crate) fallback_local: Option<bool>,
    pub(crate) permitted_cnames: Option<Vec<String>>,
}

/// `CanonicalizeHostname`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CanonicalizeMode {
    #[default]
    No,
    /// Unless a proxy will resolve the name.
    Yes,
    Always,
}

impl HostConfig {
    /// Checks a line and, if `active`, keeps its value, unless there is one: the first wins.
    /// Only identities and certificates add up.
    // Long: an arm for each keyword.
    pub(super) fn set(&mut self, line: &Line, active: bool) -> Result<(), String> {
        // A line of a block for other hosts is checked like any other.
        let mut scratch = HostConfig::default();
        let to = if active { &mut *self } else { &mut scratch };
        let text = || line.only_word().map(str::to_string);
        let flag = || parse_yes_no(line.only_word()?);
        let lists = &mut to.algorithms;
        let canonicalize = &mut to.canonicalize;
        match line.keyword.as_str() {
            "tag" => first(&mut to.tag, text()?),
            "hostname" => first(&mut to.host_name, text()?),
            "hostkeyalias" => first(&mut to.host_key_alias, text()?.to_lowercase()),
            "port" => first(&mut to.port, parse_port(line.only_word()?)?),
            "user" => first(&mut to.user, text()?),
            "identityfile" | "identityfile2" => add(&mut to.identity_files, text()?),
            "certificatefile" => add(&mut to.certificate_files, text()?),
            "identitiesonly" => first(&mut to.identities_only, flag()?),
            "identityagent" => first(&mut to.identity_agent, text()?),
            "pkcs11provider" | "smartcarddevice" => first(&mut to.pkcs11_provider, text()?),
            "pubkeyauthentication" | "dsaauthentication" => {
                first(&mut to.pubkey_authentication, parse_pubkey(line)?);
            }
            "preferredauthentications" => first(&mut to.preferred_authentications, text()?),
            "proxyjump" => to.set_jump(&line.rest)?,
            "proxycommand" => first(&mut to.proxy_command, line.rest.clone()),
            "proxyusefdpass" => first(&mut to.proxy_use_fdpass, flag()?),
            "addressfamily" => first(&mut to.address_family, parse_family(line)?),
            "bindaddress" => first(&mut to.bind_address, text()?),
            "bindinterface" => first(&mut to.bind_interface, text()?),
            "connecttimeout" => match line.only_word()? {
                "none" => to.has_no_connect_timeout = true,
                time => first(&mut to.connect_timeout, parse_time(time)?),
            },
            "connectionattempts" => {
                first(
                    &mut to.connection_attempts,
                    parse_number(line.only_word()?)?,
                );
            }
            "userknownhostsfile" => first(&mut to.user_known_hosts, line.list()?),
            "globalknownhostsfile" => first(&mut to.global_known_hosts, line.list()?),
            "knownhostscommand" => first(&mut to.known_hosts_command, line.rest.clone()),
            "revokedhostkeys" => first(&mut to.revoked_host_keys, line.list()?),
            "checkhostip" => first(&mut to.check_host_ip, flag()?),
            "requiredrsasize" | "rsaminsize" => {
                first(&mut to.required_rsa_size, parse_number(line.only_word()?)?);
            }
            "ciphers" => first(&mut lists.ciphers, text()?),
            "macs" => first(&mut lists.macs, text()?),
            "kexalgorithms" => first(&mut lists.kex, text()?),
            "hostkeyalgorithms" => first(&mut lists.host_key, text()?),
            "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" => {
                first(&mut lists.pubkey, text()?);
            }
            "casignaturealgorithms" => first(&mut lists.ca_signature, text()?),
            "canonicalizehostname" => first(&mut canonicalize.mode, parse_mode(line)?),
            "canonicaldomains" => first(&mut canonicalize.domains, line.list()?),
            "canonicalizemaxdots" => {
                first(&mut canonicalize.max_dots, parse_number(line.only_word()?)?);
            }
            "canonicalizefallbacklocal" => first(&mut canonicalize.fallback_local, flag()?),
            "canonicalizepermittedcnames" => {
                first(&mut canonicalize.permitted_cnames, line.list()?);
            }
            "ignoreunknown" => first(&mut to.ignore_unknown, text()?),
            "refuseconnection" => {
                let why = text()?;
                if active {
                    return Err(format!("RefuseConnection: {why}"));
                }
            }
            keyword => return self.check_other(keyword),
        }
        Ok(())
    }

    /// `Ok` for what makes no difference or is to be ignored.
    fn check_other(&self, keyword: &str) -> Result<(), String> {
        let ignored = |list: &String| {
            let list = list.to_ascii_lowercase();
            text::glob::list_matches(list.split(','), keyword)
        };
        if makes_no_difference(keyword) || self.ignore_unknown.as_ref().is_some_and(ignored) {
            return Ok(());
        }
        Err(format!("unknown keyword `{keyword}`"))
    }

    /// Whichever of `ProxyJump` and `ProxyCommand` comes first wins.
    fn set_jump(&mut self, rest: &str) -> Result<(), String> {
        let hosts = rest.split('#').next().unwrap_or_default().trim_end();
        if not_none(Some(hosts)).is_none() {
            // That forbids later jump hosts, but no later command.
            first(&mut self.proxy_jump, hosts.to_string());
            return Ok(());
        }
        Hop::parse_list(hosts)?;
        if self.proxy_command.is_none() && self.proxy_jump.is_none() {
            self.proxy_jump = Some(hosts.to_string());
            self.proxy_command = Some("none".into());
        }
        Ok(())
    }

    /// With what the operator wrote in another place, as if it were on the command line of `ssh`.
    pub(crate) fn with_jump(mut self, jump: Option<&str>) -> Result<Self, String> {
        if let Some(jump) = jump.filter(|jump| !jump.trim().is_empty()) {
            self.set_jump(jump)?;
        }
        Ok(self)
    }

    /// The proxy command, if there is one that is not `none`.
    pub(crate) fn proxy_command(&self) -> Option<&str> {
        not_none(self.proxy_command.as_deref())
    }

    /// The jump hosts, if there are any.
    pub(crate) fn proxy_jump(&self) -> Option<&str> {
        not_none(self.proxy_jump.as_deref())
    }
}

/// `None` for `none`.
pub(crate) fn not_none(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.eq_ignore_ascii_case("none"))
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn add(list: &mut Vec<String>, value: String) {
    if !list.contains(&value) {
        list.push(value);
    }
}

fn parse_family(line: &Line) -> Result<AddressFamily, String> {
    let word = line.only_word()?;
    match word.to_ascii_lowercase().as_str() {
        "any" => Ok(AddressFamily::Any),
        "inet" => Ok(AddressFamily::Inet),
        "inet6" => Ok(AddressFamily::Inet6),
        _ => Err(format!("{word:?} is neither `any`, `inet` nor `inet6`")),
    }
}

fn parse_mode(line: &Line) -> Result<CanonicalizeMode, String> {
    let word = line.only_word()?;
    if word.eq_ignore_ascii_case("always") {
        return Ok(CanonicalizeMode::Always);
    }
    Ok(match parse_yes_no(word)? {
        true => CanonicalizeMode::Yes,
        false => CanonicalizeMode::No,
    })
}

fn parse_pubkey(line: &Line) -> Result<bool, String> {
    let word = line.only_word()?;
    match word.to_ascii_lowercase().as_str() {
        "unbound" | "host-bound" => Ok(true),
        _ => parse_yes_no(word),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_proxy_wins() {
        let proxies = |text: &str| {
            let mut found = HostConfig::default();
            for line in text.lines() {
                found
                    .set(&Line::parse(line).unwrap().unwrap(), true)
                    .unwrap();
            }
            let own = |text: Option<&str>| text.unwrap_or("-").to_string();
            (own(found.proxy_jump()), own(found.proxy_command()))
        };
        let both = |jump: &str, command: &str| (jump.to_string(), command.to_string());
        assert_eq!(proxies("ProxyJump a\nProxyCommand b\n"), both("a", "-"));
        assert_eq!(proxies("ProxyCommand b\nProxyJump a\n"), both("-", "b"));
        assert_eq!(proxies("ProxyCommand none\nProxyJump a\n"), both("-", "-"));
        // Not so before OpenSSH 10.3; distributions have taken it over as a fix.
        assert_eq!(
            proxies("ProxyJump none\nProxyJump a\nProxyCommand b\n"),
            both("-", "b")
        );
    }
}
