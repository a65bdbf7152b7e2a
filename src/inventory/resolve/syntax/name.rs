//! Names, as DNS and Kubernetes' labels have them.

use super::problem::Problem;

/// RFC 1123 label, lower-case: what Kubernetes calls a DNS label.
pub(crate) fn check_dns_label(name: &str) -> Result<(), Problem> {
    const MAX: usize = 63;
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > MAX {
        return Err(format!(
            "is too long: {} characters (at most {MAX})",
            name.len()
        ));
    }
    if !name.bytes().all(|b| alphanumeric(b) || b == b'-') {
        return Err("may contain only lowercase letters, digits and `-`".to_owned());
    }
    let ends = [name.bytes().next(), name.bytes().next_back()];
    match ends.into_iter().flatten().all(alphanumeric) {
        true => Ok(()),
        false => Err("must start and end with a letter or digit".to_owned()),
    }
}

/// DNS labels joined by dots.
pub(crate) fn check_dns_subdomain(name: &str) -> Result<(), Problem> {
    const MAX: usize = 253;
    if name.len() > MAX {
        return Err(format!(
            "is too long: {} characters (at most {MAX})",
            name.len()
        ));
    }
    match name.split('.').try_for_each(check_dns_label) {
        Err(problem) if problem == "is empty" && !name.is_empty() => {
            Err("has a leading, trailing or doubled dot".to_owned())
        }
        Err(problem) if problem.starts_with("may contain only") => {
            Err("may contain only lowercase letters, digits, `-` and `.`".to_owned())
        }
        other => other,
    }
}

/// A DNS name as it may stand in a certificate: also upper-case (kubeadm
/// lowers it), and with a wildcard as its first label.
pub(crate) fn check_dns_name_or_wildcard(name: &str) -> Result<(), Problem> {
    let lower = name.to_ascii_lowercase();
    check_dns_subdomain(lower.strip_prefix("*.").unwrap_or(&lower))
}

/// A label's or taint's value; may be empty.
pub(crate) fn check_label_value(value: &str) -> Result<(), Problem> {
    check_label_text(value)
}

/// A label's or taint's key: `name` or `prefix/name`.
pub(crate) fn check_qualified_name(key: &str) -> Result<(), Problem> {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            check_dns_subdomain(prefix)
                .map_err(|problem| format!("has an invalid prefix: it {problem}"))?;
            name
        }
        None => key,
    };
    if name.is_empty() {
        return Err("has an empty name".to_owned());
    }
    if name.contains('/') {
        return Err("may contain only one `/`, after the prefix".to_owned());
    }
    check_label_text(name)
}

/// A label's value, or the name in its key: `[A-Za-z0-9._-]`, 63 at most.
fn check_label_text(text: &str) -> Result<(), Problem> {
    const MAX: usize = 63;
    if text.len() > MAX {
        return Err(format!(
            "is too long: {} characters (at most {MAX})",
            text.len()
        ));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !text.bytes().all(allowed) {
        return Err("may contain only letters, digits, `-`, `_` and `.`".to_owned());
    }
    let ends = [text.bytes().next(), text.bytes().next_back()];
    match ends
        .into_iter()
        .flatten()
        .all(|b| b.is_ascii_alphanumeric())
    {
        true => Ok(()),
        false => Err("must start and end with a letter or digit".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_are_lower_case_labels() {
        assert!(check_dns_label("a-1").is_ok());
        assert!(check_dns_label(&"a".repeat(63)).is_ok());
        for wrong in ["", "-a", "a-", "a.b", "A", "a_b", "ä", &"a".repeat(64)] {
            assert!(check_dns_label(wrong).is_err(), "{wrong}");
        }
        assert!(check_dns_subdomain("cp1.example.com").is_ok());
        for wrong in ["", ".", "a..b", "a.", ".a", "a_b.c", &"a.".repeat(128)] {
            assert!(check_dns_subdomain(wrong).is_err(), "{wrong}");
        }
        assert!(check_dns_name_or_wildcard("*.Example.com").is_ok());
        assert!(check_dns_name_or_wildcard("a.*.com").is_err());
    }

    #[test]
    fn labels_have_a_prefix_and_a_short_name() {
        for right in ["tier", "example.com/tier", "a_b.C-d", "1"] {
            assert!(check_qualified_name(right).is_ok(), "{right}");
        }
        for wrong in ["", "/a", "a/", "a/b/c", "-a", "A.com/x", "a b"] {
            assert!(check_qualified_name(wrong).is_err(), "{wrong}");
        }
        assert!(check_label_value("").is_ok());
        assert!(check_label_value("a b").is_err());
    }
}
