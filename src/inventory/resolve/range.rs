//! `worker[01:20]`: many names in one.

use super::syntax::Problem;

/// How many hosts a cluster may have. Kubernetes is designed for 5,000 nodes.
pub(super) const MAX_HOSTS: usize = 10_000;

/// A text with ranges in it.
#[derive(Debug, PartialEq)]
pub(super) struct RangePattern {
    parts: Vec<PatternPart>,
    /// How many texts it expands to; `None` without a range.
    pub(super) count: Option<usize>,
}

#[derive(Debug, PartialEq)]
enum PatternPart {
    Text(String),
    /// First number, and the width that it is padded to.
    Range(usize, usize),
}

impl RangePattern {
    /// Parses `[first:last]`, both included. Several ranges in one text count
    /// together, so they have to have the same length.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut parts = Vec::new();
        let mut count = None;
        let mut rest = text;
        while let Some(open) = rest.find('[') {
            let (before, after) = (&rest[..open], &rest[open + 1..]);
            let close = after
                .find(']')
                .ok_or_else(|| "has an unclosed `[`".to_owned())?;
            let (first, last, width) = parse_bounds(&after[..close])?;
            let this = last - first + 1;
            if this > MAX_HOSTS {
                return Err(format!("expands to more than {MAX_HOSTS} hosts"));
            }
            if count.is_some_and(|count| count != this) {
                return Err("has ranges of different lengths".to_owned());
            }
            count = Some(this);
            parts.push(PatternPart::Text(before.to_owned()));
            parts.push(PatternPart::Range(first, width));
            rest = &after[close + 1..];
        }
        if rest.contains(']') {
            return Err("has a `]` without a `[`".to_owned());
        }
        parts.push(PatternPart::Text(rest.to_owned()));
        Ok(RangePattern { parts, count })
    }

    /// The text number `index`, counted from 0.
    pub(super) fn expand_at(&self, index: usize) -> String {
        let parts = self.parts.iter().map(|part| match part {
            PatternPart::Text(text) => text.clone(),
            PatternPart::Range(first, width) => format!("{:0width$}", first + index),
        });
        parts.collect()
    }
}

/// What a text with ranges expands to; the text alone without one.
///
/// # Errors
/// What is wrong with a range.
pub(crate) fn expand_range(text: &str) -> Result<Vec<String>, Problem> {
    let pattern = RangePattern::parse(text)?;
    let all = 0..pattern.count.unwrap_or(1);
    Ok(all.map(|index| pattern.expand_at(index)).collect())
}

/// The names that an entry of `hosts` stands for; none if it is not a valid range.
pub(in crate::inventory) fn expand_name(name: &str) -> impl Iterator<Item = String> {
    let pattern = RangePattern::parse(name).ok();
    let count = pattern
        .as_ref()
        .map_or(0, |pattern| pattern.count.unwrap_or(1));
    (0..count).filter_map(move |index| Some(pattern.as_ref()?.expand_at(index)))
}

fn parse_bounds(range: &str) -> Result<(usize, usize, usize), Problem> {
    let problem = || format!("has an invalid range `[{range}]`: expected for example `[01:20]`");
    let (first, last) = range.split_once(':').ok_or_else(problem)?;
    // Nine digits fit into a usize everywhere, and are more than enough.
    let number = |digits: &str| {
        let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<usize>().ok()).flatten()
    };
    let (from, to) = number(first).zip(number(last)).ok_or_else(problem)?;
    if to < from {
        return Err(format!("has a descending range `[{range}]`"));
    }
    let padded = first.len() > 1 && first.starts_with('0') || last.starts_with('0');
    if padded && first.len() != last.len() {
        return Err(format!("has numbers of different widths in `[{range}]`"));
    }
    Ok((from, to, if padded { first.len() } else { 0 }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<Vec<String>, Problem> {
        let pattern = RangePattern::parse(text)?;
        Ok((0..pattern.count.unwrap_or(1))
            .map(|i| pattern.expand_at(i))
            .collect())
    }

    #[test]
    fn ranges_expand() {
        assert_eq!(expand("cp1").unwrap(), ["cp1"]);
        assert_eq!(expand("w[1:3]").unwrap(), ["w1", "w2", "w3"]);
        assert_eq!(expand("w[08:10].a").unwrap(), ["w08.a", "w09.a", "w10.a"]);
        assert_eq!(expand("w[9:10]").unwrap(), ["w9", "w10"]);
        assert_eq!(expand("r[1:2]-w[11:12]").unwrap(), ["r1-w11", "r2-w12"]);
        assert_eq!(expand("w[0:1]").unwrap(), ["w0", "w1"]);
        assert_eq!(expand("w[7:7]").unwrap(), ["w7"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in [
            "w[",
            "w]",
            "w[]",
            "w[1]",
            "w[1:]",
            "w[:2]",
            "w[a:c]",
            "w[3:1]",
            "w[01:100]",
            "w[0:10000]",
            "w[1:2]x[1:3]",
            "[2001:db8::1]",
            "w[1:2:3]",
            "w[-1:2]",
            "w[1:99999999999999999999]",
        ] {
            assert!(expand(wrong).is_err(), "{wrong}");
        }
    }
}
