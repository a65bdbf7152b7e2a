//! The two ends of a run: the command line that starts it, what goes into its
//! standard input ahead of the script, and what marks its start in the output.

use std::sync::LazyLock;

use crate::script::Script;

/// The bootstrap, as one line.
static BOOTSTRAP: LazyLock<String> = LazyLock::new(|| {
    include_str!("bootstrap.sh")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join(" ")
});

/// What the bootstrap says when it is ready to read a script.
pub(crate) const READY: &[u8] = b"--ready--\n";

/// How sudo asks for a password: by these words, rather than any language's,
/// one can tell that it asks again.
pub(crate) const PROMPT: &str = "--password--";

/// How a script gets its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Become {
    /// As the login user.
    LoginUser,
    /// Root by sudo without a password; sudo fails at once if it wants one.
    Sudo,
    /// Root by sudo, which reads a password from standard input if it wants one.
    SudoWithPassword,
}

/// The command line, which never depends on the script.
///
/// POSIX shells, fish and csh all read it alike.
pub(crate) fn command_line(how: Become) -> String {
    let bootstrap = BOOTSTRAP.as_str();
    let sudo = match how {
        Become::LoginUser => return format!("sh -c '{bootstrap}'"),
        Become::Sudo => "sudo -n --".to_string(),
        Become::SudoWithPassword => format!("sudo -S -p {PROMPT} --"),
    };
    format!(
        "sh -c 'LC_ALL=C; export LC_ALL; PATH=$PATH:/usr/local/bin:/usr/bin:/bin; \
         if [ \"$(id -u)\" -eq 0 ]; then exec sh -c \"$1\"; fi; \
         command -v sudo >/dev/null || {{ echo \"sudo: not found\" >&2; exit 127; }}; \
         exec {sudo} sh -c \"$1\"' sh '{bootstrap}'"
    )
}

/// The line that the bootstrap looks for, and the script.
pub(crate) fn feed_header(nonce: &str, script: &Script, input: u64) -> String {
    format!(
        "--run-- {nonce} {} {input}\n{}",
        script.text.len(),
        script.text
    )
}

/// What both streams begin with once the script runs. Random, so that no noise
/// can be taken for it.
pub(crate) fn new_nonce() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_survives_every_shell() {
        assert!(
            !BOOTSTRAP.contains(['\'', '\\', '!', '\n', '`']),
            "{}",
            *BOOTSTRAP
        );
        // A comment within a line would swallow the rest of it.
        assert!(!BOOTSTRAP.contains(" #"), "{}", *BOOTSTRAP);
    }

    #[test]
    fn the_command_line_is_constant() {
        for how in [Become::LoginUser, Become::Sudo, Become::SudoWithPassword] {
            assert_eq!(command_line(how), command_line(how));
        }
        assert!(command_line(Become::Sudo).contains("sudo -n -- sh -c"));
        assert_ne!(new_nonce(), new_nonce());
    }
}
