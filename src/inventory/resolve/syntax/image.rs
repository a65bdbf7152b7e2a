//! Container images.

use super::problem::Problem;

/// A registry with a path, and no tag: `registry.example.com:5000/k8s`.
pub(crate) fn check_image_repository(text: &str) -> Result<(), Problem> {
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("must not have a scheme: write `{rest}`"));
    }
    if text.ends_with('/') {
        return Err(format!(
            "must not end with `/`: write `{}`",
            text.trim_end_matches('/')
        ));
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    if text.contains('/') && last.contains(':') || text.contains('@') {
        return Err("must not have a tag or digest".to_owned());
    }
    let allowed = |b: u8| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b':')
    };
    let part = |part: &str| !part.is_empty() && part.bytes().all(allowed);
    match text.split('/').all(part) {
        true => Ok(()),
        false => Err(
            "is not a valid image repository, such as `registry.example.com:5000/k8s`".to_owned(),
        ),
    }
}

/// An image's tag.
pub(crate) fn check_image_tag(text: &str) -> Result<(), Problem> {
    let start = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let other = |b: u8| start(b) || matches!(b, b'.' | b'-');
    let valid =
        text.len() <= 128 && text.bytes().next().is_some_and(start) && text.bytes().all(other);
    match valid {
        true => Ok(()),
        false => Err("is not a valid image tag, such as `v1.14.2`".to_owned()),
    }
}

/// An image with its tag or digest: `docker.io/library/haproxy:3.2`.
pub(crate) fn check_image_reference(text: &str) -> Result<(), Problem> {
    if let Some((repository, digest)) = text.split_once('@') {
        let hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        let valid = digest
            .strip_prefix("sha256:")
            .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex));
        if !valid {
            return Err(
                "has an invalid digest: expected `sha256:` and 64 hexadecimal digits".to_owned(),
            );
        }
        // A tag before a digest is for humans.
        return match split_tag(repository) {
            Some((repository, tag)) => check_image_repository(repository).and(check_image_tag(tag)),
            None => check_image_repository(repository),
        };
    }
    match split_tag(text) {
        Some((repository, tag)) => {
            check_image_repository(repository)?;
            check_image_tag(tag).map_err(|_| format!("has an invalid tag `{tag}`"))
        }
        None => {
            check_image_repository(text)?;
            Err(format!("has no tag: write for example `{text}:3.2`"))
        }
    }
}

/// Splits at the colon that starts a tag, not at that of a registry's port.
fn split_tag(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':')
        .filter(|(_, after)| !after.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_need_a_tag_or_a_digest() {
        let digest = "a".repeat(64);
        for right in [
            "haproxy:3.2",
            "docker.io/library/haproxy:3.2-alpine",
            "registry.example.com:5000/haproxy:1",
            &format!("ghcr.io/kube-vip/kube-vip@sha256:{digest}"),
            &format!("ghcr.io/kube-vip/kube-vip:v1@sha256:{digest}"),
        ] {
            assert!(check_image_reference(right).is_ok(), "{right}");
        }
        for wrong in [
            "haproxy",
            "registry.example.com:5000/haproxy",
            "haproxy:",
            "haproxy:3 2",
            "https://a/haproxy:1",
            "haproxy@sha256:12",
            "HAproxy:1",
            "",
        ] {
            assert!(check_image_reference(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn repositories_and_tags() {
        assert!(check_image_repository("registry.example.com:5000/k8s").is_ok());
        for wrong in ["", "https://a/b", "a/b/", "a/b:1", "a/b@sha256:00", "A/b"] {
            assert!(check_image_repository(wrong).is_err(), "{wrong}");
        }
        assert!(check_image_tag("v1.14.2").is_ok() && check_image_tag("-a").is_err());
    }
}
