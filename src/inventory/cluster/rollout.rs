//! How many nodes a change may take down at once.

use crate::inventory::spec::{IntOrString, defaults};

/// How a change rolls over the nodes, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rollout {
    /// How many workers may be unavailable at once.
    pub max_unavailable: MaxUnavailable,
}

/// How many of some nodes may be unavailable at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxUnavailable {
    /// So many, at least one.
    Count(usize),
    /// A share of them in percent, 1 to 100.
    Percent(u8),
}

impl Default for MaxUnavailable {
    fn default() -> Self {
        MaxUnavailable::Count(defaults::MAX_UNAVAILABLE)
    }
}

impl MaxUnavailable {
    /// How many of `nodes` that is: at least one, or nothing would ever move.
    /// A share is rounded down, as Deployments do with theirs.
    pub fn scaled_to(self, nodes: usize) -> usize {
        match self {
            MaxUnavailable::Count(count) => count.max(1),
            MaxUnavailable::Percent(percent) => {
                (nodes.saturating_mul(usize::from(percent)) / 100).max(1)
            }
        }
    }
}

impl TryFrom<&IntOrString> for MaxUnavailable {
    type Error = String;

    /// Says what is wrong with it, to follow the field's name.
    fn try_from(given: &IntOrString) -> Result<Self, String> {
        const AT_LEAST: &str = "must be at least 1, or no node could ever be changed";
        match given {
            IntOrString::Int(count) if *count >= 1 => usize::try_from(*count)
                .map(MaxUnavailable::Count)
                .map_err(|_| "is too large".to_owned()),
            IntOrString::Int(_) => Err(AT_LEAST.to_owned()),
            IntOrString::String(text) => {
                let digits = text.strip_suffix('%').filter(|digits| {
                    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
                });
                match digits.map(str::parse::<u8>) {
                    Some(Ok(0)) => Err(AT_LEAST.to_owned()),
                    Some(Ok(percent)) if percent <= 100 => Ok(MaxUnavailable::Percent(percent)),
                    Some(_) => Err("must be at most 100%".to_owned()),
                    None => Err("must be a number or a percentage, such as `20%`".to_owned()),
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_but_never_to_nothing() {
        let share = |text: &str, nodes| {
            MaxUnavailable::try_from(&IntOrString::String(text.into()))
                .unwrap()
                .scaled_to(nodes)
        };
        assert_eq!(share("20%", 10), 2);
        assert_eq!(share("20%", 14), 2);
        assert_eq!(share("20%", 3), 1);
        assert_eq!(share("100%", 7), 7);
        assert_eq!(share("1%", 0), 1);
        assert_eq!(MaxUnavailable::default().scaled_to(100), 1);
        let count = MaxUnavailable::try_from(&IntOrString::Int(3)).unwrap();
        assert_eq!(count.scaled_to(100), 3);
    }

    #[test]
    fn what_would_never_move_is_refused() {
        let refused = |given| MaxUnavailable::try_from(&given).is_err();
        assert!(refused(IntOrString::Int(0)));
        assert!(refused(IntOrString::Int(-1)));
        for text in ["0%", "101%", "1000%", "20", "%", "-5%", "x%", "2.5%", ""] {
            assert!(refused(IntOrString::String(text.into())), "{text}");
        }
    }
}
