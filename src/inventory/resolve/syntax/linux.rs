//! What Linux calls things: owners, modes, paths, sysctls, interfaces.

use super::problem::Problem;

/// `user` or `user:group`, as `user:group`.
pub(crate) fn parse_owner(text: &str) -> Result<String, Problem> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let valid = |name: &str| {
        let start = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let other = |b: u8| start(b) || matches!(b, b'-' | b'.' | b'$');
        name.len() <= 32 && name.bytes().next().is_some_and(start) && name.bytes().all(other)
    };
    match valid(user) && valid(group) {
        true => Ok(format!("{user}:{group}")),
        false => Err("must have the form `user` or `user:group`".to_owned()),
    }
}

/// Permission bits in octal: `0644`.
pub(crate) fn parse_mode(text: &str) -> Result<u32, Problem> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal => Ok(mode),
        _ => Err("must be three or four octal digits, such as `\"0644\"`".to_owned()),
    }
}

/// A path that is absolute and stays where it seems to point.
pub(crate) fn check_absolute_path(path: &str) -> Result<(), Problem> {
    if !path.starts_with('/') {
        return Err("must be an absolute path".to_owned());
    }
    if path.contains(|c: char| c.is_control()) {
        return Err("contains a control character".to_owned());
    }
    let parts = path[1..].trim_end_matches('/').split('/');
    for part in parts {
        match part {
            "" if path.trim_end_matches('/').is_empty() => {}
            "" => return Err("must not contain `//`".to_owned()),
            "." | ".." => return Err(format!("must not contain `{part}`")),
            _ => {}
        }
    }
    Ok(())
}

/// A sysctl's name, with dots: `net.ipv4.ip_forward`. An interface's name
/// within it may have a dot of its own, written as `/`.
pub(crate) fn check_sysctl_name(name: &str) -> Result<(), Problem> {
    if name.starts_with('/') || name.starts_with("net/") || name.starts_with("vm/") {
        let dotted = name.trim_start_matches("/proc/sys/").replace('/', ".");
        return Err(format!(
            "must use dots, not slashes: write `{}`",
            dotted.trim_start_matches('.')
        ));
    }
    let part = |part: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/');
        !part.is_empty() && part != ".." && part.bytes().all(allowed)
    };
    match name.contains('.') && name.split('.').all(part) && !name.contains("//") {
        true => Ok(()),
        false => Err("is not a valid sysctl name, such as `net.core.somaxconn`".to_owned()),
    }
}

/// A network interface's name, as Linux takes it.
pub(crate) fn check_interface_name(name: &str) -> Result<(), Problem> {
    const MAX: usize = 15;
    let problem = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    match name {
        "" | "." | ".." => Err("is not a valid interface name, such as `eth0`".to_owned()),
        _ if name.len() > MAX => Err(format!(
            "is too long: {} characters (at most {MAX})",
            name.len()
        )),
        _ if name.contains(problem) => {
            Err("is not a valid interface name, such as `eth0`".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn owners_and_modes() {
        assert_eq!(parse_owner("root").unwrap(), "root:root");
        assert_eq!(parse_owner("1000:adm").unwrap(), "1000:adm");
        assert!(
            parse_owner("a:b:c").is_err() && parse_owner("").is_err() && parse_owner("-r").is_err()
        );
        assert_eq!(parse_mode("0640").unwrap(), 0o640);
        assert!(
            parse_mode("9").is_err() && parse_mode("0o644").is_err() && parse_mode("+644").is_err()
        );
    }

    #[test]
    fn paths_stay_where_they_point() {
        assert!(check_absolute_path("/etc/a.conf").is_ok() && check_absolute_path("/").is_ok());
        for wrong in ["etc", "/a//b", "/a/../b", "/a/./b", "/a\n"] {
            assert!(check_absolute_path(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sysctls_have_dots() {
        assert!(check_sysctl_name("net.ipv4.conf.eth0/1.rp_filter").is_ok());
        assert!(
            check_sysctl_name("/proc/sys/vm/swappiness")
                .unwrap_err()
                .contains("vm.swappiness")
        );
        assert!(check_sysctl_name("swappiness").is_err() && check_sysctl_name("a..b").is_err());
    }

    #[test]
    fn interface_names_are_short() {
        assert!(check_interface_name("eth0.100").is_ok());
        for wrong in ["", "..", "eth 0", "eth0/1", "0123456789abcdef"] {
            assert!(check_interface_name(wrong).is_err(), "{wrong}");
        }
    }
}
