//! Reads the files: blocks, includes, and the rule that what is found first wins.

use std::path::Path;

use super::conditions::{Subject, judge_conditions};
use super::include::{check_owner, find_files};
use super::line::Line;
use super::values::HostConfig;
use crate::error::SshError;
use crate::hop::Hop;
use crate::settings::Workstation;
use crate::tokens::{Names, Token, expand_all, expand_home, expand_tokens};
use text::glob;

/// OpenSSH's own limit on nested `Include`s.
const MAX_INCLUDE_DEPTH: usize = 16;

/// Whose configuration is read.
pub(crate) struct Question<'a> {
    pub(crate) workstation: &'a Workstation,
    /// The host's name as the operator wrote it.
    pub(crate) original: &'a str,
    /// In the second reading: what became of that name.
    pub(crate) canonical: Option<&'a str>,
}

/// Adds what the files say to what is found already. Also returns whether they want to be read a
/// second time, for `Match final`.
///
/// A file that doesn't exist says nothing; one that can't be read is an error, and so is a line
/// that can't be understood, as in `ssh`: it may be the one that was to forbid something.
pub(crate) fn read_config(
    question: &Question<'_>,
    found: HostConfig,
) -> Result<(HostConfig, bool), SshError> {
    let mut reader = Reader {
        question,
        found,
        wants_final: false,
    };
    let workstation = question.workstation;
    if let Some(path) = &workstation.ssh_config {
        let base = workstation.home.join(".ssh");
        let file = File::outermost(path, &base, true);
        reader.read_file(&file)?;
    }
    if let Some(path) = &workstation.system_config {
        let file = File::outermost(path, Path::new("/etc/ssh"), false);
        reader.read_file(&file)?;
    }
    Ok((reader.found, reader.wants_final))
}

/// A file that is to be read.
struct File<'a> {
    path: &'a Path,
    /// Where relative includes are.
    base: &'a Path,
    /// Whether it is the user's or included by one that is.
    is_users: bool,
    /// Whether it has to be safe from others.
    is_checked: bool,
    /// Whether it is included where it applies.
    applies: bool,
    depth: usize,
}

impl<'a> File<'a> {
    fn outermost(path: &'a Path, base: &'a Path, is_users: bool) -> Self {
        File {
            path,
            base,
            is_users,
            is_checked: is_users,
            applies: true,
            depth: 0,
        }
    }

    fn included<'b>(&'b self, path: &'b Path, applies: bool) -> File<'b> {
        File {
            path,
            is_checked: true,
            applies,
            depth: self.depth + 1,
            ..*self
        }
    }
}

struct Reader<'a> {
    question: &'a Question<'a>,
    found: HostConfig,
    wants_final: bool,
}

impl Reader<'_> {
    fn read_file(&mut self, file: &File<'_>) -> Result<(), SshError> {
        let cannot = |source| SshError::File {
            path: file.path.to_path_buf(),
            source,
        };
        let metadata = match std::fs::metadata(file.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata.map_err(cannot)?,
        };
        if file.is_checked {
            check_owner(&metadata, &self.question.workstation.home)
                .map_err(|why| cannot(std::io::Error::other(why)))?;
        }
        let bytes = std::fs::read(file.path).map_err(cannot)?;
        let mut active = file.applies;
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            self.read_line(line, file, &mut active)
                .map_err(|fault| match fault {
                    Fault::Here(reason) => SshError::Config {
                        file: file.path.to_path_buf(),
                        line: index + 1,
                        reason,
                    },
                    Fault::Included(error) => error,
                })?;
        }
        Ok(())
    }

    fn read_line(&mut self, line: &str, file: &File<'_>, active: &mut bool) -> Result<(), Fault> {
        let Some(line) = Line::parse(line)? else {
            return Ok(());
        };
        match line.keyword.as_str() {
            "host" => {
                if line.words.iter().any(String::is_empty) {
                    return Err(Fault::Here("Host has an empty pattern".into()));
                }
                let patterns = line.words.iter().map(String::as_str);
                *active = file.applies && glob::list_matches(patterns, self.current_host());
            }
            "match" => *active = self.judge_match(&line)? && file.applies,
            "include" => {
                for word in &line.words {
                    self.include(word, file, *active)?;
                }
            }
            _ => self.found.set(&line, *active)?,
        }
        Ok(())
    }

    fn judge_match(&mut self, line: &Line) -> Result<bool, String> {
        let host = self.host_name()?;
        let user = self.found.user.as_ref();
        let subject = Subject {
            host: &host,
            original: self.question.original,
            user: user.unwrap_or(&self.question.workstation.user),
            local_user: &self.question.workstation.user,
            tag: self.found.tag.as_deref().unwrap_or_default(),
            is_final: self.question.canonical.is_some(),
        };
        let answer = judge_conditions(&line.words, &subject)?;
        self.wants_final |= answer.wants_final;
        Ok(answer.matched)
    }

    fn include(&mut self, word: &str, file: &File<'_>, active: bool) -> Result<(), Fault> {
        if word.is_empty() {
            return Err(Fault::Here("Include has an empty path".into()));
        }
        if file.depth >= MAX_INCLUDE_DEPTH {
            return Err(Fault::Here("too many nested includes".into()));
        }
        let mut pattern = expand_all(word, &self.tokens()?)?;
        if pattern.starts_with('~') {
            if !file.is_users {
                return Err(Fault::Here(format!("`~` is of no user here: {pattern}")));
            }
            pattern = expand_home(&pattern, &self.question.workstation.home)?;
        }
        for path in find_files(&pattern, file.base)? {
            self.read_file(&file.included(&path, active))
                .map_err(Fault::Included)?;
        }
        Ok(())
    }

    /// What `Host` patterns are compared with.
    fn current_host(&self) -> &str {
        self.question.canonical.unwrap_or(self.question.original)
    }

    /// The name that is connected to, as far as it is known.
    fn host_name(&self) -> Result<String, String> {
        let host = self.current_host();
        match (&self.found.host_name, self.question.canonical) {
            (Some(name), None) => expand_tokens(name, &[('h', host.to_string())]),
            _ => Ok(host.to_string()),
        }
    }

    fn tokens(&self) -> Result<Vec<Token>, String> {
        let host = self.host_name()?;
        let found = &self.found;
        let hops = found.proxy_jump().map(Hop::parse_list).transpose()?;
        let jump = hops.and_then(|mut hops| hops.pop()).map(|hop| hop.host);
        let names = Names {
            key_alias: found.host_key_alias.as_ref().unwrap_or(&host),
            original: self.question.original,
            port: found.port.unwrap_or(22),
            user: found
                .user
                .as_ref()
                .unwrap_or(&self.question.workstation.user),
            jump: jump.as_deref().unwrap_or_default(),
            host: &host,
        };
        Ok(names.tokens(self.question.workstation))
    }
}

/// What is wrong: the line, or a file that it includes.
enum Fault {
    Here(String),
    Included(SshError),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Fault::Here(reason)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    /// A workstation with these files below `~/.ssh`.
    struct Home(tempfile::TempDir, Workstation);

    impl Home {
        fn with(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let ssh = dir.path().join(".ssh");
            for (name, text) in files {
                let path = ssh.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, text).unwrap();
                let mode = PermissionsExt::from_mode(0o644);
                std::fs::set_permissions(&path, mode).unwrap();
            }
            let workstation = Workstation {
                home: dir.path().to_path_buf(),
                user: "me".into(),
                uid: 1000,
                host_name: "laptop".into(),
                ssh_config: Some(ssh.join("config")),
                system_config: Some(ssh.join("system")),
                agent: None,
                system_known_hosts: Vec::new(),
            };
            Home(dir, workstation)
        }

        fn try_ask(&self, host: &str) -> Result<HostConfig, SshError> {
            let question = Question {
                workstation: &self.1,
                original: host,
                canonical: None,
            };
            read_config(&question, HostConfig::default()).map(|(found, _)| found)
        }

        fn ask(&self, host: &str) -> HostConfig {
            self.try_ask(host).unwrap()
        }

        fn mode(&self, name: &str, mode: u32) {
            let path = self.0.path().join(".ssh").join(name);
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
    }

    fn ask(text: &str, host: &str) -> HostConfig {
        Home::with(&[("config", text)]).ask(host)
    }

    #[test]
    fn the_first_value_wins_and_identities_add_up() {
        let text = "User early\nHost web*\nUser late\nPort 2201\nIdentityFile k1\n\
                    Host *\nPort 22\nIdentityFile \"k 2\" # why\nIdentityFile k1\n";
        let found = ask(text, "web1");
        assert_eq!(found.user.as_deref(), Some("early"));
        assert_eq!(found.port, Some(2201));
        assert_eq!(found.identity_files, ["k1", "k 2"]);
        assert_eq!(ask(text, "db1").port, Some(22));
    }

    #[test]
    fn the_systems_file_comes_second() {
        let home = Home::with(&[("config", "Port 1\n"), ("system", "Port 2\nUser two\n")]);
        assert_eq!(home.ask("a").port, Some(1));
        assert_eq!(home.ask("a").user.as_deref(), Some("two"));
    }

    #[test]
    fn includes_apply_where_they_are_written() {
        let home = Home::with(&[
            (
                "config",
                "Host a\nInclude conf.d/[12] %n.conf\nHost *\nPort 3\n",
            ),
            ("conf.d/1", "User one\nHost b\nPort 1\n"),
            ("conf.d/2", "User two\nPort 2\n"),
            ("conf.d/3", "User three\nPort 4\n"),
            ("a.conf", "HostName a.example\n"),
        ]);
        let found = home.ask("a");
        assert_eq!(found.user.as_deref(), Some("one"));
        assert_eq!(found.port, Some(2));
        assert_eq!(found.host_name.as_deref(), Some("a.example"));
        // Inside `Host a`, so the included `Host b` can't apply to b.
        assert_eq!(home.ask("b").port, Some(3));
    }

    #[test]
    fn errors_name_file_and_line_wherever_they_are() {
        let error = |files: &[(&str, &str)]| {
            let home = Home::with(files);
            let error = home.try_ask("a").unwrap_err().to_string();
            error.replace(&home.0.path().display().to_string(), "~")
        };
        let inner = error(&[("config", "Host b\nInclude x\n"), ("x", "\nPort many\n")]);
        assert_eq!(inner, "~/.ssh/x:2: invalid port \"many\"");
        assert!(error(&[("config", "Include config")]).contains("too many nested includes"));
        assert!(error(&[("config", "Host b\nUser \"open\n")]).contains("config:2: unterminated"));
        assert!(error(&[("system", "Include ~/x\n")]).contains("system:1: `~`"));
        assert!(error(&[("config", "Port 1 2\n")]).contains("takes one value"));
    }

    #[test]
    fn files_that_others_can_write_are_not_read() {
        let home = Home::with(&[("config", "Include x\n"), ("x", "Port 1\n"), ("system", "")]);
        assert_eq!(home.ask("a").port, Some(1));
        home.mode("x", 0o666);
        assert!(
            home.try_ask("a")
                .unwrap_err()
                .to_string()
                .contains("others can write it")
        );
        home.mode("x", 0o644);
        home.mode("config", 0o646);
        assert!(home.try_ask("a").is_err());
        home.mode("config", 0o644);
        home.mode("system", 0o666);
        assert_eq!(home.ask("a").port, Some(1));
    }

    #[test]
    fn a_missing_file_says_nothing_and_one_that_cannot_be_read_is_an_error() {
        assert_eq!(Home::with(&[]).ask("a").port, None);
        let home = Home::with(&[("config/x", "")]);
        assert!(matches!(home.try_ask("a"), Err(SshError::File { .. })));
    }

    #[test]
    fn ignored_keywords_are_those_that_are_listed() {
        assert_eq!(
            ask("IgnoreUnknown Odd*,x\nOddity yes\nPort 1\n", "a").port,
            Some(1)
        );
        assert!(
            Home::with(&[("config", "Oddity yes\n")])
                .try_ask("a")
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "((Host|Port|Include|User|Match|IdentityFile)?[ ='\"\\\\#a-z*0-9%]{0,12}\n){0,12}") {
            let _ = Home::with(&[("config", &text)]).try_ask("a");
        }
    }
}
