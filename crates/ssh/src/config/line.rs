//! One line of an `ssh_config`: its keyword and its arguments, taken apart as OpenSSH does.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// In lower case.
    pub(super) keyword: String,
    /// The arguments, without quotes and escapes; a comment after them is left out.
    pub(super) words: Vec<String>,
    /// All after the keyword as it was written, for what a shell will read.
    pub(super) rest: String,
}

impl Line {
    /// `None` for a blank line or a comment.
    pub(super) fn parse(line: &str) -> Result<Option<Line>, String> {
        let line = line
            .trim_start_matches([' ', '\t', '\r'])
            .trim_end_matches([' ', '\t', '\r', '\n', '\x0c']);
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let end = line.find([' ', '\t', '\r', '=']).unwrap_or(line.len());
        let keyword = line[..end].to_ascii_lowercase();
        let rest = line[end..].trim_start_matches(BLANKS);
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        let rest = rest.trim_start_matches(BLANKS);
        if rest.is_empty() {
            return Err(format!("{keyword} has no value"));
        }
        Ok(Some(Line {
            keyword,
            words: split_words(rest, true).ok_or("unterminated quote")?,
            rest: rest.trim_start_matches([' ', '\t', '\r', '=']).to_string(),
        }))
    }

    /// The one argument of a keyword that takes no more.
    pub(super) fn only_word(&self) -> Result<&str, String> {
        match self.words.as_slice() {
            [] => Err(format!("{} has no value", self.keyword)),
            [word] if word.is_empty() => Err(format!("{} has no value", self.keyword)),
            [word] => Ok(word),
            _ => Err(format!("{} takes one value", self.keyword)),
        }
    }

    /// A list in which `none` may only be alone.
    pub(super) fn list(&self) -> Result<Vec<String>, String> {
        let none = |word: &String| word.eq_ignore_ascii_case("none");
        if self.words.iter().any(String::is_empty) || self.words.is_empty() {
            return Err(format!("{} has an empty value", self.keyword));
        }
        if self.words.len() > 1 && self.words.iter().any(none) {
            return Err(format!("`none` of {} must be alone", self.keyword));
        }
        Ok(self.words.clone())
    }
}

const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// Splits at blanks outside quotes, up to a comment if `comments` are possible; `None` if a quote
/// is not closed.
pub(crate) fn split_words(text: &str, comments: bool) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None => return Some(words),
            Some('#') if comments => return Some(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote: Option<char> = None;
        while let Some(c) = chars.next_if(|c| quote.is_some() || !matches!(c, ' ' | '\t')) {
            match (c, quote) {
                ('\\', _) => match chars.peek() {
                    Some(&next @ ('"' | '\'' | '\\')) => {
                        chars.next();
                        word.push(next);
                    }
                    Some(' ') if quote.is_none() => {
                        chars.next();
                        word.push(' ');
                    }
                    _ => word.push(c),
                },
                ('"' | '\'', None) => quote = Some(c),
                (_, Some(open)) if c == open => quote = None,
                _ => word.push(c),
            }
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Line::parse(text).unwrap().unwrap().words
    }

    #[test]
    fn keywords_end_at_blanks_or_one_equals_sign() {
        for text in ["Port 22", "port=22", " PORT\t= 22 \r\n", "Port =22 # why"] {
            let line = Line::parse(text).unwrap().unwrap();
            assert_eq!(
                (line.keyword.as_str(), line.words),
                ("port", vec!["22".to_string()])
            );
        }
        assert_eq!(words("Port ==22"), ["=22"]);
    }

    #[test]
    fn quotes_escapes_and_comments() {
        assert_eq!(
            words(r#"X "a b" c\ d 'e"f' g\"h i\j # k"#),
            ["a b", "c d", "e\"f", "g\"h", "i\\j"]
        );
        assert_eq!(words("X a#b #c"), ["a#b"]);
        assert_eq!(words(r#"X "a\ b""#), [r"a\ b"]);
        assert!(Line::parse("X \"a").is_err());
        assert!(Line::parse("Port").is_err());
        assert_eq!(Line::parse("  # x").unwrap(), None);
        assert_eq!(Line::parse("").unwrap(), None);
    }

    #[test]
    fn what_a_shell_reads_stays_as_it_was_written() {
        let line = Line::parse("ProxyCommand = nc \"%h\" %p # not a comment")
            .unwrap()
            .unwrap();
        assert_eq!(line.rest, "nc \"%h\" %p # not a comment");
    }

    #[test]
    fn none_is_alone() {
        let list = |text| Line::parse(text).unwrap().unwrap().list();
        assert_eq!(list("X none").unwrap(), ["none"]);
        assert_eq!(list("X a b").unwrap(), ["a", "b"]);
        assert!(list("X a none").is_err() && list("X \"\"").is_err());
    }
}
