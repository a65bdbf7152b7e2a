//! Bootstrap tokens of the operator's own.

use std::collections::HashMap;

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use crate::inventory::spec::BootstrapToken;
use crate::inventory::yaml::{FieldPath, shorten};

/// Form, usages, groups and uniqueness of the operator's own tokens.
pub(super) fn check_bootstrap_tokens(
    tokens: &[BootstrapToken],
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let list_at = at.key("bootstrapTokens");
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for (index, token) in tokens.iter().enumerate() {
        let at = list_at.index(index);
        let token_at = at.key("token");
        let form = syntax::check_bootstrap_token(&token.token);
        if resolver.check(&token_at, form).is_some()
            && let Some((id, _)) = token.token.split_once('.')
            && let Some(first) = ids.insert(id, index)
        {
            resolver.report(
                Fault::error(&token_at, "two tokens have the same ID")
                    .label("used again here")
                    .also(&list_at.index(first).key("token"), "first used here")
                    .help("the ID is the part before the dot"),
            );
        }
        if let Some(ttl) = &token.ttl {
            resolver.check(&at.key("ttl"), syntax::parse_duration(ttl));
        }
        for (index, usage) in token.usages.iter().flatten().enumerate() {
            let known = ["signing", "authentication"];
            if !known.contains(&usage.as_str()) {
                let at = at.key("usages").index(index);
                let message = format!("unknown token usage `{}`", shorten(usage));
                resolver.report(
                    Fault::error(&at, message).help("expected `signing` or `authentication`"),
                );
            }
        }
        for (index, group) in token.groups.iter().flatten().enumerate() {
            let at = at.key("groups").index(index);
            resolver.check(&at, syntax::check_bootstrap_group(group));
        }
    }
}
