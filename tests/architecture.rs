//! The structure that `docs/architecture.md` describes is the one that the code has.

#![allow(clippy::unwrap_used)]

#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use imports::Imports;
use source::{SourceFile, read_sources};

/// Lines that a file may have, and a function without a reason.
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 60;

#[test]
fn modules_import_what_the_table_in_architecture_md_says() {
    let imports = Imports::of(&read_sources());
    let actual = imports.between_modules();
    let table = read_table();
    let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut wrong = Vec::new();
    for (module, used) in &actual {
        match table.iter().find(|(name, _)| name == module) {
            None => wrong.push(format!("`{module}` has no row; it uses {}", names(used))),
            Some((_, said)) if said != used => wrong.push(format!(
                "`{module}`: the table says {}; the code says {}",
                names(said),
                names(used)
            )),
            Some(_) => {}
        }
    }
    for (name, _) in table.iter().filter(|(name, _)| !actual.contains_key(name)) {
        wrong.push(format!("`{name}` has a row, and is no module"));
    }
    assert!(
        wrong.is_empty(),
        "docs/architecture.md:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_table_is_in_an_order_in_which_arrows_run_down() {
    let table = read_table();
    let place: BTreeMap<&str, usize> = table
        .iter()
        .enumerate()
        .map(|(at, (name, _))| (name.as_str(), at))
        .collect();
    for (name, used) in &table {
        for other in used {
            assert!(
                place[other.as_str()] > place[name.as_str()],
                "`{name}` uses `{other}`, which is above it"
            );
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = Imports::of(&read_sources()).circles_of_files();
    let shown: Vec<String> = circles.iter().map(|circle| circle.join(" -> ")).collect();
    assert!(shown.is_empty(), "circles:\n{}", shown.join("\n"));
}

#[test]
fn files_and_functions_fit_a_screen_or_say_why_not() {
    let mut long = Vec::new();
    for file in read_sources() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            long.push(format!("{}: {lines} lines", file.path));
        }
        for function in file.functions() {
            if function.lines > FUNCTION_LINES && !function.has_reason {
                long.push(format!(
                    "{}: {} has {} lines and no `// Long:` with a reason before it",
                    file.path, function.name, function.lines
                ));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

/// The rows of the table under "Modules": a module, and what it uses.
fn read_table() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string("docs/architecture.md").unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        let pieces = cell.split('`').skip(1).step_by(2);
        pieces.map(str::to_owned).collect()
    };
    let (_, after) = text.split_once("\n## Modules\n").unwrap();
    let section = after.split("\n## ").next().unwrap();
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let name = quoted(cells[0]).remove(0);
            let used = quoted(cells[cells.len() - 1]).into_iter().collect();
            (name, used)
        })
        .collect()
}

/// What is counted has to be seen: a scanner that finds nothing would let everything pass.
#[test]
fn the_scanner_sees_imports_and_functions() {
    let file = SourceFile {
        path: "src/a/b.rs".into(),
        text:
            "use crate::c::{d, e::F};\nuse super::g::H;\n\n/// x\nfn f() {\n    crate::i::j();\n}\n\
               #[cfg(test)]\nmod tests {\n    use crate::k::L;\n}\n"
                .into(),
    };
    let mut paths = file.paths();
    paths.sort();
    assert_eq!(
        paths,
        [
            "crate::c::d",
            "crate::c::e::F",
            "crate::i::j",
            "super::g::H"
        ]
    );
    let functions: Vec<_> = file.functions().into_iter().map(|one| one.name).collect();
    assert_eq!(functions, ["f"]);
}
