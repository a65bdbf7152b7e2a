//! Kinds of value that several fields have.

use std::time::Duration;

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use crate::inventory::spec::Tree;
use crate::inventory::yaml::FieldPath;

/// A directory on hosts: absolute, without a trailing slash.
pub(super) fn resolve_host_dir(
    given: Option<&str>,
    default: &str,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> String {
    let Some(text) = given else {
        return default.to_owned();
    };
    let valid = match text.trim_end_matches('/').is_empty() {
        true => Err("must not be the root directory".to_owned()),
        false => syntax::check_absolute_path(text),
    };
    resolver.check(at, valid);
    text.trim_end_matches('/').to_owned()
}

/// A timeout or a lifetime, which has to be longer than zero. `default` is one of
/// [`defaults`](crate::inventory::spec::defaults).
pub(super) fn resolve_duration(
    given: Option<&str>,
    default: &str,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Duration {
    let parse = |text| {
        syntax::parse_duration(text).and_then(|duration| match duration.is_zero() {
            true => Err("must be greater than zero".to_owned()),
            false => Ok(duration),
        })
    };
    given
        .and_then(|text| resolver.check(at, parse(text)))
        .or_else(|| parse(default).ok())
        .unwrap_or_default()
}

/// Repository and tag of one image.
pub(super) fn check_image(
    repository: Option<&str>,
    tag: Option<&str>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    if let Some(repository) = repository {
        let valid = syntax::check_image_repository(repository);
        resolver.check(&at.key("imageRepository"), valid);
    }
    if let Some(tag) = tag {
        resolver.check(&at.key("imageTag"), syntax::check_image_tag(tag));
    }
}

/// A free-form configuration may name its version and kind, but no other.
pub(super) fn check_tree_kind(
    tree: &Tree,
    (api_version, kind): (&str, &str),
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    for (field, right) in [("apiVersion", api_version), ("kind", kind)] {
        if let Some(given) = tree.get(field)
            && given.as_str() != Some(right)
        {
            let message = format!("`{at}` must be a `{kind}` of `{api_version}`");
            resolver
                .report(Fault::error(&at.key(field), message).help(format!("remove `{field}`")));
        }
    }
}
