//! The one line of a component's log that says why it ended.

use serde_json::Value;

/// How much a line says about an end. Lower is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// It refuses its arguments or its configuration.
    Refusal,
    /// The last words of a program that gives up.
    Fatal,
    /// An error, maybe one of many.
    Error,
    /// Anything else.
    Any,
    /// systemd's or a runtime's remarks.
    Remark,
}

/// The line that matters most, without what its logger put around it.
pub(crate) fn telling_line(lines: &[String]) -> Option<String> {
    let filled = lines.iter().enumerate();
    let filled = filled.filter(|(_, line)| !line.trim().is_empty());
    // Of equals the last one; `min_by_key` takes the first.
    let (at, line) = filled.rev().min_by_key(|(_, line)| weigh(line))?;
    let line = match line.trim_end().strip_suffix("err=<") {
        // klog writes an error of several lines below.
        Some(start) => {
            let error = lines.get(at + 1).map_or("", |next| next.trim());
            format!("{start}err={}", Value::from(error))
        }
        None => line.clone(),
    };
    Some(plain(line.trim()))
}

/// Whether a program says that it refuses its arguments: it will say so each time.
pub(crate) fn is_refusal(lines: &[String]) -> bool {
    lines.iter().any(|line| refuses_arguments(line))
}

/// Whether the reason is another component that can't be reached, or not yet.
pub(crate) fn is_consequence(line: &str) -> bool {
    const OF_OTHERS: [&str; 13] = [
        "connection refused",
        "context deadline exceeded",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "TLS handshake timeout",
        "leaderelection lost",
        "leader election lost",
        "lost lease",
        "etcdserver: ",
        "connection reset by peer",
        "EOF",
        "apiserver being healthy",
    ];
    OF_OTHERS.iter().any(|words| line.contains(words))
}

fn refuses_arguments(line: &str) -> bool {
    line.starts_with("Error: ")
        || line.contains("unknown flag")
        || line.contains("unknown shorthand flag")
        || line.contains("flag provided but not defined")
        || line.contains("failed to parse kubelet flag")
        || line.contains("failed to load kubelet config file")
        || line.contains("failed to validate kubelet configuration")
        || line.contains("invalid configuration:")
        || (line.contains("invalid argument \"") || line.contains("invalid value \""))
            && (line.contains("for \"-") || line.contains("for flag"))
}

fn weigh(line: &str) -> Weight {
    let line = line.trim();
    let lower = line.to_lowercase();
    if refuses_arguments(line) {
        return Weight::Refusal;
    }
    let level = json_field(line, "level");
    if line.contains("\"command failed\"")
        || line.starts_with("panic: ")
        || line.starts_with("containerd: ")
        || line.contains("level=fatal")
        || has_klog_level(line, 'F')
        || matches!(level.as_deref(), Some("fatal" | "panic"))
    {
        return Weight::Fatal;
    }
    if is_remark(line) {
        return Weight::Remark;
    }
    if has_klog_level(line, 'E')
        || line.contains("level=error")
        || level.as_deref() == Some("error")
        || lower.contains("error")
        || lower.contains("failed")
        || lower.contains("cannot")
    {
        return Weight::Error;
    }
    Weight::Any
}

/// What systemd says itself about a unit, whatever the program's reason.
fn is_remark(line: &str) -> bool {
    const STARTS: [&str; 8] = [
        "Started ",
        "Starting ",
        "Stopped ",
        "Stopping ",
        "Failed to start ",
        "Job for ",
        "See \"systemctl",
        "goroutine ",
    ];
    line.contains(".service: ") || STARTS.iter().any(|start| line.starts_with(start))
}

fn has_klog_level(line: &str, level: char) -> bool {
    let mut chars = line.chars();
    chars.next() == Some(level) && chars.take(4).filter(char::is_ascii_digit).count() == 4
}

fn json_field(line: &str, name: &str) -> Option<String> {
    if !line.starts_with('{') {
        return None;
    }
    let value: Value = serde_json::from_str(line).ok()?;
    Some(value.get(name)?.as_str()?.to_owned())
}

/// Without time, place and level.
fn plain(line: &str) -> String {
    if let Some(message) = json_field(line, "msg") {
        return match json_field(line, "error") {
            Some(error) => format!("{message}: {error}"),
            None => message,
        };
    }
    let line = match ['I', 'W', 'E', 'F']
        .iter()
        .any(|level| has_klog_level(line, *level))
    {
        true => line.split_once("] ").map_or(line, |(_, rest)| rest),
        false => line,
    };
    // A volume's operation is described at length before its error.
    let line = match line.find("Error: MountVolume") {
        Some(at) => &line[at..],
        None => line,
    };
    let line = line.strip_prefix("Error: ").unwrap_or(line);
    let message = match line.starts_with('"') {
        true => quoted(line),
        false => after(line, " msg=").and_then(quoted),
    };
    let error = after(line, " err=").or_else(|| after(line, " error="));
    match (message, error.and_then(quoted)) {
        (Some(message), Some(error)) if message == "command failed" => error,
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(message), None) => message,
        _ => line.to_owned(),
    }
}

fn after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(key).map(|(_, rest)| rest)
}

/// The text in quotes that something starts with, as Go writes it.
fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inner.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    // What was cut off is worth showing, too.
    let inner = &inner[..end.unwrap_or(inner.len())];
    Some(inner.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        telling_line(&lines).unwrap_or_default()
    }

    #[test]
    fn a_refused_argument_comes_before_everything_else() {
        let said = "E1127 20:00:00.0 1 x.go:1] \"later\" err=\"no\"\n\
                    Error: unknown flag: --no-such-flag\nUsage:\n  kube-apiserver [flags]\n";
        assert_eq!(told(said), "unknown flag: --no-such-flag");
        let said = "flag provided but not defined: -no-such-flag\nUsage:\n";
        assert_eq!(told(said), "flag provided but not defined: -no-such-flag");
        let said = "Error: invalid argument \"x\" for \"--v\" flag: bad";
        assert_eq!(told(said), "invalid argument \"x\" for \"--v\" flag: bad");
    }

    #[test]
    fn last_words_are_freed_of_their_loggers() {
        let said = "I1127 20:00:00.0 1 x.go:1] starting\n\
            E1127 20:00:00.123456       1 run.go:72] \"command failed\" err=\"open /a: no \\\"b\\\"\"\n\
            kubelet.service: Main process exited, code=exited, status=1/FAILURE\n\
            kubelet.service: Failed with result 'exit-code'.\n";
        assert_eq!(told(said), "open /a: no \"b\"");
        let said =
            "E1127 20:00:00.0 1 run.go:72] \"command failed\" err=<\n\tfirst reason\n\tsecond\n >";
        assert_eq!(told(said), "first reason");
        let said = "{\"level\":\"info\",\"msg\":\"a\"}\n\
            {\"level\":\"fatal\",\"ts\":\"x\",\"msg\":\"discovery failed\",\"error\":\"no space\"}";
        assert_eq!(told(said), "discovery failed: no space");
        let said = "time=\"2026\" level=info msg=\"starting containerd\"\n\
            containerd: failed to load TOML: /etc/containerd/config.toml: (3, 1): bad key\n\
            containerd.service: Failed with result 'exit-code'.";
        assert!(told(said).starts_with("containerd: failed to load TOML"));
        assert_eq!(told("\nonly this\n\n"), "only this");
        let said = "panic: runtime error: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:1";
        assert_eq!(told(said), "panic: runtime error: x");
    }

    #[test]
    fn what_others_cause_is_told_apart() {
        assert!(is_consequence(
            "dial tcp 127.0.0.1:2379: connect: connection refused"
        ));
        assert!(is_consequence("leaderelection lost"));
        assert!(!is_consequence("unknown flag: --x"));
    }
}
