//! `%` tokens, `${…}` and `~` in values of `ssh_config`.

use std::path::Path;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use crate::settings::Workstation;

/// A token's letter, and what it means for one host.
pub(crate) type Token = (char, String);

/// What most tokens stand for.
pub(crate) struct Names<'a> {
    /// The name that is connected to.
    pub(crate) host: &'a str,
    /// The name as the operator wrote it.
    pub(crate) original: &'a str,
    /// The name by which known_hosts knows it.
    pub(crate) key_alias: &'a str,
    pub(crate) port: u16,
    pub(crate) user: &'a str,
    /// The host of the last jump.
    pub(crate) jump: &'a str,
}

impl Names<'_> {
    /// The tokens that all keywords with tokens accept, but a few that say so.
    pub(crate) fn tokens(&self, workstation: &Workstation) -> Vec<Token> {
        let here = &workstation.host_name;
        let short = here.split('.').next().unwrap_or_default();
        let port = self.port.to_string();
        let hash = text::hex::encode(hash_parts(&[here, self.host, &port, self.user, self.jump]));
        vec![
            ('C', hash),
            ('L', short.to_string()),
            ('d', workstation.home.to_string_lossy().into_owned()),
            ('h', self.host.to_string()),
            ('i', workstation.uid.to_string()),
            ('j', self.jump.to_string()),
            ('k', self.key_alias.to_string()),
            ('l', here.clone()),
            ('n', self.original.to_string()),
            ('p', port),
            ('r', self.user.to_string()),
            ('u', workstation.user.clone()),
        ]
    }
}

/// What `%C` is the hexadecimal form of: no secret, only a short name.
fn hash_parts(parts: &[&str]) -> Vec<u8> {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finish().as_ref().to_vec()
}

/// Replaces `%` tokens; an unknown one is an error, as in `ssh`.
pub(crate) fn expand_tokens(text: &str, tokens: &[Token]) -> Result<String, String> {
    expand(text, tokens, |_| None)
}

/// Replaces `%` tokens and `${…}`, which has to be set.
pub(crate) fn expand_all(text: &str, tokens: &[Token]) -> Result<String, String> {
    expand(text, tokens, |name| {
        Some(std::env::var(name).map_err(|_| format!("the environment has no `{name}`")))
    })
}

/// `variable` is asked for each `${NAME}`; `None` leaves it as it is.
fn expand(
    text: &str,
    tokens: &[Token],
    variable: impl Fn(&str) -> Option<Result<String, String>>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(name) = rest.strip_prefix("${") {
            let name = name.split_once('}').map_or(name, |(name, _)| name);
            if let Some(value) = variable(name) {
                out.push_str(&value?);
                rest = rest[2 + name.len()..]
                    .strip_prefix('}')
                    .ok_or("a `${` has no `}`")?;
                continue;
            }
        }
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let letter = rest[1..].chars().next().ok_or("a `%` ends it")?;
        rest = &rest[1 + letter.len_utf8()..];
        match tokens.iter().find(|(one, _)| *one == letter) {
            Some((_, value)) => out.push_str(value),
            None if letter == '%' => out.push('%'),
            None => return Err(format!("unknown token `%{letter}`")),
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// `~/x` under `home`, `~user/x` under that user's; anything else as it is.
pub(crate) fn expand_home(path: &str, home: &Path) -> Result<String, String> {
    let Some(rest) = path.strip_prefix('~') else {
        return Ok(path.to_string());
    };
    let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
    let home = match user {
        "" => home.to_string_lossy().into_owned(),
        user => home_of(user).ok_or_else(|| format!("unknown user `{user}`"))?,
    };
    let below = below.trim_start_matches('/');
    Ok(format!("{}/{below}", home.trim_end_matches('/')))
}

fn home_of(user: &str) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut entries = passwd.lines().map(|line| line.split(':'));
    entries
        .find(|entry| entry.clone().next() == Some(user))?
        .nth(5)
        .map(str::to_string)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> Vec<Token> {
        vec![('h', "host".into()), ('p', "22".into())]
    }

    #[test]
    fn tokens_and_variables() {
        let all = |text| expand_all(text, &tokens());
        let path = std::env::var("PATH").unwrap();
        assert_eq!(all("a%h:%p%%").unwrap(), "ahost:22%");
        assert_eq!(all("x${PATH}%h$y$").unwrap(), format!("x{path}host$y$"));
        assert!(all("${NO_SUCH_VARIABLE}").is_err() && all("${PATH").is_err());
        assert!(all("%z").is_err() && all("a%").is_err());
        assert_eq!(
            expand_tokens("${PATH}%h", &tokens()).unwrap(),
            "${PATH}host"
        );
    }

    #[test]
    fn homes() {
        let home = |text| expand_home(text, Path::new("/home/me"));
        assert_eq!(home("~").unwrap(), "/home/me/");
        assert_eq!(home("~//x/y").unwrap(), "/home/me/x/y");
        assert_eq!(home("a~").unwrap(), "a~");
        assert_eq!(home("~root/x").unwrap(), "/root/x");
        assert!(home("~no-such-user/x").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[%$}{a~/é]{0,12}") {
            let _ = expand_all(&text, &tokens());
            let _ = expand_home(&text, Path::new("/"));
        }
    }
}
