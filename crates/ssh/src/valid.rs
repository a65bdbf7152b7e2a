//! Names that may reach a shell, by OpenSSH's rules: commands in `ssh_config` have them in their
//! text, and it was not the operator of this machine who wrote them there.

/// Whether `ssh` would take it for the name of a host.
pub(crate) fn is_valid_host(name: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){},".contains(c);
    !name.is_empty() && !name.starts_with('-') && !name.contains(odd)
}

/// Whether `ssh` would take it for the name of a user.
pub(crate) fn is_valid_user(name: &str) -> bool {
    let odd = |c: char| c.is_control() || "'`\";&<>|(){}".contains(c);
    let has_option = name
        .split(char::is_whitespace)
        .skip(1)
        .any(|word| word.starts_with('-'));
    !name.is_empty()
        && !name.starts_with('-')
        && !name.ends_with('\\')
        && !name.contains(odd)
        && !has_option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_act_on_is_no_name() {
        for name in ["web1", "fd00::1", "a_b.example", "10.0.0.1"] {
            assert!(is_valid_host(name), "{name}");
        }
        for name in ["", "-oX", "a;b", "a b", "$(x)", "a`b"] {
            assert!(!is_valid_host(name), "{name:?}");
        }
        assert!(is_valid_user("DOMAIN\\user") && is_valid_user("a b@example"));
        for name in ["", "-l", "a -x", "a\\", "a;b"] {
            assert!(!is_valid_user(name), "{name:?}");
        }
    }
}
