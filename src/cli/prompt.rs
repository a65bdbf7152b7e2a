//! Questions to the user. Only asked on a terminal.

use std::io;
use std::io::{IsTerminal, stdin};
use std::path::Path;

use dialoguer::{Confirm, Input, Password};
use ssh::{Prompt, Secret};
use text::terminal::sanitize;
use zeroize::Zeroizing;

use crate::run::error::Error;

/// Prompts on the terminal.
#[derive(Debug)]
pub(super) struct Terminal;

impl Prompt for Terminal {
    fn passphrase(&self, key: &Path, again: bool) -> io::Result<Secret> {
        ask_password(&format!(
            "{}Passphrase for {}",
            retry_prefix(again),
            key.display()
        ))
    }

    fn sudo_password(&self, user: &str, host: &str, again: bool) -> io::Result<Secret> {
        ask_password(&format!(
            "{}sudo password for {user} (first asked by {host})",
            retry_prefix(again)
        ))
    }
}

fn retry_prefix(again: bool) -> &'static str {
    if again { "Wrong, try again. " } else { "" }
}

fn ask_password(question: &str) -> io::Result<Secret> {
    if !stdin().is_terminal() {
        return Err(io::Error::other("there is no terminal to ask on"));
    }
    Password::new()
        .with_prompt(sanitize(question))
        .allow_empty_password(true)
        .interact()
        .map(Zeroizing::new)
        .map_err(io::Error::other)
}

/// Asks for confirmation; the default is no.
pub(super) fn confirm(question: &str) -> Result<(), Error> {
    refuse_without_terminal()?;
    let yes = Confirm::new()
        .with_prompt(sanitize(question))
        .default(false)
        .interact();
    match yes {
        Ok(true) => Ok(()),
        _ => Err(Error::Declined),
    }
}

/// Asks for the name of what is about to be destroyed, so that it is not confirmed out of
/// habit.
pub(super) fn confirm_by_name(question: &str, name: &str) -> Result<(), Error> {
    refuse_without_terminal()?;
    let answer = Input::<String>::new()
        .with_prompt(sanitize(question))
        .allow_empty(true)
        .interact_text();
    match answer {
        Ok(answer) if answer.trim() == name => Ok(()),
        _ => Err(Error::Declined),
    }
}

fn refuse_without_terminal() -> Result<(), Error> {
    if stdin().is_terminal() {
        return Ok(());
    }
    Err(Error::Usage {
        message: "cannot ask for confirmation: there is no terminal".into(),
        hint: Some("pass `--yes` to skip the question".into()),
    })
}
