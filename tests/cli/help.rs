//! `--help`, of the program and of every verb.

use clap::{Command, CommandFactory};
use clusterctl::cli::Cli;

use crate::typist::Typist;

/// All verbs, those below others included, as words.
fn verbs(command: &Command, above: &[&str]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for verb in command.get_subcommands() {
        if verb.get_name() == "help" {
            continue;
        }
        let path: Vec<&str> = above.iter().copied().chain([verb.get_name()]).collect();
        all.push(path.iter().map(ToString::to_string).collect());
        all.extend(verbs(verb, &path));
    }
    all
}

fn help(typist: &Typist, words: &[String], flag: &str) -> String {
    let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
    args.push(flag);
    typist.stdout(&args)
}

#[test]
fn the_program_says_what_it_can_do_and_how_it_ends() {
    let text = help(&Typist::new(), &[], "--help");
    assert!(text.contains("Example"));
    for code in 0..=6 {
        assert!(
            text.contains(&format!("\n  {code}  ")),
            "no exit code {code}"
        );
    }
    insta::assert_snapshot!("help", text);
}

#[test]
fn every_verb_has_help_with_an_example() {
    let typist = Typist::new();
    let all = verbs(&Cli::command(), &[]);
    assert!(all.len() > 14, "{all:?}");
    for words in all {
        let text = help(&typist, &words, "--help");
        // What all verbs have in common is in the program's help.
        let (own, rest) = text.split_once("\nGlobal options:\n").unwrap();
        let (_, after) = rest.rsplit_once("adds the SSH log\n").unwrap();
        let after = after.find("\nExample").map(|at| &after[at..]);
        let Some(after) = after else {
            panic!("`{} --help` has no example", words.join(" "));
        };
        let example = format!("clusterctl-rs {}", words.join(" "));
        assert!(after.contains(&example), "no `{example}` in {after}");
        insta::assert_snapshot!(format!("help-{}", words.join("-")), format!("{own}{after}"));
    }
}

#[test]
fn help_lines_are_imperative_and_fit_a_terminal() {
    fn check(command: &Command) {
        let about = command.get_about().map(ToString::to_string).unwrap();
        assert!(!about.ends_with('.'), "{about}");
        for argument in command.get_arguments() {
            let name = argument.get_id();
            let Some(help) = argument.get_help() else {
                panic!("{} of {} has no help", name, command.get_name());
            };
            let help = help.to_string();
            assert!(!help.ends_with('.'), "{name}: {help}");
            let first = help.chars().next().unwrap();
            assert!(first.is_uppercase() || first == 'I', "{name}: {help}");
        }
        let after = command.get_after_help().map(ToString::to_string);
        for line in after.unwrap_or_default().lines() {
            assert!(line.chars().count() <= 100, "too long: {line}");
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}
