//! The conditions of a `Match` line.

use text::glob::list_matches;

/// What is known of a host when a `Match` line is read.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// Its name, as far as `HostName` and canonicalization have changed it.
    pub(super) host: &'a str,
    /// Its name as the operator wrote it.
    pub(super) original: &'a str,
    pub(super) user: &'a str,
    pub(super) local_user: &'a str,
    pub(super) tag: &'a str,
    /// Whether this is the second reading.
    pub(super) is_final: bool,
}

/// What came of a `Match` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) matched: bool,
    /// `Match final`: the files have to be read once more.
    pub(super) wants_final: bool,
}

/// Whether all conditions hold. Those that can't be judged here make no difference if another
/// one fails; else they are an error.
pub(super) fn judge_conditions(words: &[String], subject: &Subject<'_>) -> Result<Answer, String> {
    let mut answer = Answer {
        matched: true,
        wants_final: false,
    };
    let mut unjudged = None;
    let mut seen = 0;
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let (negated, name) = match word.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, word),
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name.to_ascii_lowercase(), Some(value)),
            None => (name.to_ascii_lowercase(), None),
        };
        if name == "all" {
            if seen > 1 || words.peek().is_some_and(|next| !next.is_empty()) {
                return Err("`all` cannot be combined with other conditions".into());
            }
            answer.matched &= !negated;
            seen += 1;
            break;
        }
        seen += 1;
        let holds = if matches!(name.as_str(), "final" | "canonical") {
            answer.wants_final |= name == "final" && !negated;
            Some(subject.is_final)
        } else {
            let value = value.or_else(|| words.next());
            let may_be_empty = matches!(name.as_str(), "tagged" | "command");
            let value = value.filter(|value| may_be_empty || !value.is_empty());
            let value = value.ok_or_else(|| format!("Match {name} has no value"))?;
            judge_condition(&name, value, subject)?
        };
        match holds {
            Some(holds) => answer.matched &= holds != negated,
            None => unjudged = Some(name),
        }
    }
    if seen == 0 {
        return Err("Match has no condition".into());
    }
    match unjudged {
        Some(name) if answer.matched => Err(format!("`Match {name}` is not supported")),
        _ => Ok(answer),
    }
}

/// `None`: only `ssh` itself can tell.
fn judge_condition(name: &str, value: &str, subject: &Subject<'_>) -> Result<Option<bool>, String> {
    let in_list = |text: &str| list_matches(value.split(','), text);
    let is_host = |host: &str| {
        let value = value.to_lowercase();
        list_matches(value.split(','), &host.to_lowercase())
    };
    Ok(Some(match name {
        "host" => is_host(subject.host),
        "originalhost" => is_host(subject.original),
        "user" => in_list(subject.user),
        "localuser" => in_list(subject.local_user),
        "tagged" if subject.tag.is_empty() => value.is_empty(),
        "tagged" => in_list(subject.tag),
        // What runs on hosts are always commands.
        "sessiontype" => in_list("exec"),
        "exec" | "localnetwork" | "version" | "command" => return Ok(None),
        _ => return Err(format!("unknown condition `{name}` of Match")),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'static> = Subject {
        host: "web1.example.com",
        original: "web1",
        user: "ops",
        local_user: "me",
        tag: "",
        is_final: false,
    };

    fn judge(text: &str) -> Result<Answer, String> {
        let words: Vec<String> = text.split(' ').map(str::to_string).collect();
        judge_conditions(&words, &SUBJECT)
    }

    fn matched(text: &str) -> bool {
        judge(text).unwrap().matched
    }

    #[test]
    fn conditions_hold_together() {
        assert!(matched("host *.EXAMPLE.com,x user ops localuser=me"));
        assert!(!matched("host *.example.com user root"));
        assert!(matched("!host db* originalhost web1"));
        assert!(!matched("host *,!web1.example.com"));
        assert!(matched("all") && !matched("!all"));
        assert!(matched("tagged="));
        assert!(!matched("tagged x"));
    }

    #[test]
    fn final_is_for_the_second_reading() {
        let answer = judge("final all").unwrap();
        assert!(!answer.matched && answer.wants_final);
        assert!(matched("!canonical"));
        let words = ["final".to_string()];
        let again = Subject {
            is_final: true,
            ..SUBJECT
        };
        assert!(judge_conditions(&words, &again).unwrap().matched);
    }

    #[test]
    fn what_only_ssh_can_tell_is_an_error_where_it_matters() {
        assert_eq!(
            judge("exec true").unwrap_err(),
            "`Match exec` is not supported"
        );
        assert!(judge("user ops !exec=true").is_err());
        assert!(judge("localnetwork 10.0.0.0/8").is_err());
        assert!(!matched("exec true host db1"));
        assert!(!matched("final exec true"));
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in [
            "",
            "host",
            "frobnicated x",
            "all user ops",
            "host= user ops",
        ] {
            assert!(judge(text).is_err(), "{text}");
        }
        assert!(judge_conditions(&[], &SUBJECT).is_err());
    }
}
