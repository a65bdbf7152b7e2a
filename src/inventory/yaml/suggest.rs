//! Guesses what a misspelt word was meant to be.

/// The one of `known` that `word` is most probably a misspelling of.
pub(crate) fn find_closest<'a>(
    word: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = normalize(word);
    known
        .map(|name| (strsim::osa_distance(&word, &normalize(name)), name))
        // One edit in three letters: more, and the guess would rather confuse.
        .filter(|(distance, name)| *distance * 3 <= name.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Drops case and separators: `pod_subnet` and `PodSubnet` are `podSubnet`.
fn normalize(word: &str) -> String {
    // No name is longer than this, and comparing is quadratic.
    const MAX: usize = 64;
    word.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_likely_word_is_suggested() {
        let known = ["podSubnet", "serviceSubnet", "dnsDomain", "cni"];
        let closest = |word| find_closest(word, known.into_iter());
        assert_eq!(closest("podSubent"), Some("podSubnet"));
        assert_eq!(closest("pod_subnet"), Some("podSubnet"));
        assert_eq!(closest("service-subnet"), Some("serviceSubnet"));
        assert_eq!(closest("cnl"), Some("cni"));
        assert_eq!(closest("cnlx"), None);
        assert_eq!(closest("hosts"), None);
        assert_eq!(closest(&"x".repeat(1 << 20)), None);
    }

    #[test]
    fn two_swapped_letters_are_one_edit() {
        assert_eq!(find_closest("cin", ["cni"].into_iter()), Some("cni"));
    }
}
