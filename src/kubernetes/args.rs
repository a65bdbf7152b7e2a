//! Command-line arguments, merged as kubeadm does.

use crate::inventory::Arg;

/// Merges the operator's arguments over the defaults: the defaults come first,
/// sorted by name and value; one that the operator names drops out in all its
/// instances; the operator's own follow unchanged, duplicates included.
pub(crate) fn merge_args(mut defaults: Vec<Arg>, extra: &[Arg]) -> Vec<Arg> {
    defaults.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
    defaults.retain(|arg| !extra.iter().any(|other| other.name == arg.name));
    defaults.extend_from_slice(extra);
    defaults
}

/// `--name=value`.
pub(crate) fn render_arg(arg: &Arg) -> String {
    format!("--{}={}", arg.name, arg.value)
}

/// Reads `--name=value`; `None` for anything else.
pub(crate) fn parse_arg(word: &str) -> Option<Arg> {
    let (name, value) = word.strip_prefix("--")?.split_once('=')?;
    (!name.is_empty()).then(|| Arg {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn args() -> impl Strategy<Value = Vec<Arg>> {
        prop::collection::vec(
            ("[a-d]{1,2}", "[a-z=]{0,3}").prop_map(|(name, value)| Arg { name, value }),
            0..8,
        )
    }

    proptest! {
        #[test]
        fn the_operators_arguments_come_last_and_unchanged(defaults in args(), extra in args()) {
            let merged = merge_args(defaults.clone(), &extra);
            prop_assert_eq!(&merged[merged.len() - extra.len()..], &extra[..]);
            let kept = &merged[..merged.len() - extra.len()];
            prop_assert!(kept.is_sorted_by_key(|arg| (&arg.name, &arg.value)));
            for arg in &defaults {
                let replaced = extra.iter().any(|other| other.name == arg.name);
                prop_assert_eq!(kept.contains(arg), !replaced);
            }
        }

        #[test]
        fn arguments_survive_their_rendering(all in args()) {
            for arg in all {
                prop_assert_eq!(parse_arg(&render_arg(&arg)), Some(arg));
            }
        }
    }
}
