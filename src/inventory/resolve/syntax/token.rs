//! Bootstrap tokens.

use super::problem::Problem;

/// A bootstrap token's form. Says nothing of the token itself.
pub(crate) fn check_bootstrap_token(token: &str) -> Result<(), Problem> {
    let part = |text: &str, length: usize| {
        text.len() == length
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match token.split_once('.') {
        Some((id, secret)) if part(id, 6) && part(secret, 16) => Ok(()),
        _ => Err("must look like `abcdef.0123456789abcdef`".to_owned()),
    }
}

/// Kubernetes' rule for the groups of a bootstrap token.
pub(crate) fn check_bootstrap_group(group: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b':' | b'-');
    let name = group.strip_prefix("system:bootstrappers:");
    match name {
        Some(name)
            if name.len() <= 256
                && name.bytes().all(allowed)
                && !name.ends_with([':', '-'])
                && !name.is_empty() =>
        {
            Ok(())
        }
        _ => Err("must have the form `system:bootstrappers:NAME`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_two_lower_case_parts() {
        assert!(check_bootstrap_token("abcdef.0123456789abcdef").is_ok());
        assert!(check_bootstrap_token("abcdef.0123456789abcdeF").is_err());
    }
}
