//! A jump host, as it is written.

/// `[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Hop {
    /// Several, joined by commas, in the order in which they are passed.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Hop>, String> {
        let parse = |hop: &str| {
            let wrong = || format!("{hop:?} is not a jump host; write [user@]host[:port]");
            Hop::parse(hop).ok_or_else(wrong)
        };
        text.split(',').map(parse).collect()
    }

    /// `[user@]host[:port]` or `ssh://[user@]host[:port]`, IPv6 in brackets.
    pub(crate) fn parse(text: &str) -> Option<Hop> {
        let hop = text.trim();
        let hop = hop
            .strip_prefix("ssh://")
            .map_or(hop, |uri| uri.strip_suffix('/').unwrap_or(uri));
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
        let odd = |c: char| c.is_whitespace() || c == '/';
        if host.is_empty() || host.contains(odd) || user.as_deref() == Some("") {
            return None;
        }
        Some(Hop {
            user,
            host: host.to_string(),
            port,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn users_ports_brackets_and_uris() {
        let hop = |text| {
            let hop = Hop::parse(text).unwrap();
            (hop.user, hop.host, hop.port)
        };
        assert_eq!(hop("u@h:22"), (Some("u".into()), "h".into(), Some(22)));
        assert_eq!(hop("[fd00::1]:23"), (None, "fd00::1".into(), Some(23)));
        assert_eq!(hop("fd00::1"), (None, "fd00::1".into(), None));
        assert_eq!(hop("ssh://u@h/"), (Some("u".into()), "h".into(), None));
        assert_eq!(hop("ssh://h:2222"), (None, "h".into(), Some(2222)));
        for text in ["a b", "a:port", "@a", "", "a:0"] {
            assert_eq!(Hop::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,30}") {
            Hop::parse(&text);
        }
    }
}
