//! Which file imports which, and which module which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::SourceFile;

/// The arrows between files.
pub(crate) struct Imports {
    /// By importing file.
    arrows: BTreeMap<String, BTreeSet<String>>,
    /// What each module uses of the workspace's own crates.
    crates: BTreeMap<String, BTreeSet<String>>,
}

/// Where a module of a crate is: `("src", ["host", "facts"])`.
type Place = (String, Vec<String>);

impl Imports {
    pub(crate) fn of(files: &[SourceFile]) -> Self {
        let by_place: BTreeMap<Place, &SourceFile> =
            files.iter().map(|file| (place(&file.path), file)).collect();
        let resolver = Resolver { by_place };
        let mut arrows = BTreeMap::new();
        let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in files {
            let (root, modules) = place(&file.path);
            let mut used = BTreeSet::new();
            for path in file.paths() {
                used.extend(resolver.resolve(&root, &modules, &path));
            }
            used.remove(&file.path);
            arrows.insert(file.path.clone(), used);
            let of_module = crates.entry(module(&file.path)).or_default();
            of_module.extend(own_crates(file));
        }
        Imports { arrows, crates }
    }

    /// Which modules each module uses; crates of the workspace are modules, too.
    pub(crate) fn between_modules(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, used) in &self.arrows {
            let from = module(file);
            let to = used.iter().map(|file| module(file));
            let entry = modules.entry(from.clone()).or_default();
            entry.extend(to.filter(|to| *to != from));
            entry.extend(self.crates[&from].iter().filter(|to| **to != from).cloned());
        }
        // The roots name every module, and are named by none.
        modules.remove("lib");
        modules.remove("main");
        modules
    }

    /// Files that import each other in a loop, each loop once.
    pub(crate) fn circles_of_files(&self) -> Vec<Vec<String>> {
        let mut circles = Vec::new();
        let mut done = BTreeSet::new();
        for start in self.arrows.keys() {
            self.walk(start, &mut Vec::new(), &mut done, &mut circles);
        }
        circles
    }

    fn walk(
        &self,
        file: &str,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
        circles: &mut Vec<Vec<String>>,
    ) {
        if let Some(at) = way.iter().position(|one| one == file) {
            let mut circle = way[at..].to_vec();
            circle.push(file.to_owned());
            circles.push(circle);
            return;
        }
        if done.contains(file) {
            return;
        }
        way.push(file.to_owned());
        for next in self.arrows.get(file).into_iter().flatten() {
            self.walk(next, way, done, circles);
        }
        way.pop();
        done.insert(file.to_owned());
    }
}

/// Crates of this workspace that a file names.
fn own_crates(file: &SourceFile) -> BTreeSet<String> {
    const CRATES: [&str; 4] = ["files", "pki", "ssh", "text"];
    let directory = file.path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let is_own = |name: &&str| {
        // A module of the same name beside the file, or one that it imports, is meant then.
        let beside = Path::new(&format!("{directory}/{name}.rs")).exists();
        let imported = file
            .paths()
            .iter()
            .any(|path| path.ends_with(&format!("::{name}")));
        let path = format!("{name}::");
        let mut found = file.text.match_indices(&path);
        !beside
            && !imported
            && found.any(|(at, _)| {
                let before = file.text[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            })
    };
    CRATES
        .into_iter()
        .filter(is_own)
        .map(str::to_owned)
        .collect()
}

/// `src/host/facts/mod.rs` -> `("src", ["host", "facts"])`.
fn place(path: &str) -> Place {
    let (root, inner) = match path.split_once("/src/") {
        Some((root, inner)) => (format!("{root}/src"), inner),
        None => ("src".to_owned(), path.strip_prefix("src/").unwrap()),
    };
    let mut modules: Vec<String> = inner
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    let last = modules.last().map(String::as_str);
    if matches!(last, Some("mod" | "lib" | "main")) {
        modules.pop();
    }
    (root, modules)
}

/// The name of a file's module in the table: a crate, or a directory of `src`.
fn module(path: &str) -> String {
    if let Some(inner) = path.strip_prefix("crates/") {
        return inner.split('/').next().unwrap_or_default().to_owned();
    }
    let inner = path.strip_prefix("src/").unwrap();
    let first = inner.split('/').next().unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

struct Resolver<'a> {
    by_place: BTreeMap<Place, &'a SourceFile>,
}

impl Resolver<'_> {
    /// The file that a path leads to, through what `mod.rs` files hand on.
    fn resolve(&self, root: &str, from: &[String], path: &str) -> Option<String> {
        let mut at: Vec<String> = from.to_vec();
        let mut rest = path.split("::").peekable();
        match rest.next()? {
            "crate" => at.clear(),
            "super" => {
                at.pop();
            }
            _ => {}
        }
        while rest.next_if_eq(&"super").is_some() {
            at.pop();
        }
        let rest: Vec<&str> = rest.collect();
        self.descend(root, at, &rest, 0)
    }

    fn descend(&self, root: &str, at: Vec<String>, rest: &[&str], depth: usize) -> Option<String> {
        let file = self.by_place.get(&(root.to_owned(), at.clone()));
        let Some((name, further)) = rest.split_first().filter(|_| depth < 10) else {
            return file.map(|file| file.path.clone());
        };
        let mut inner = at.clone();
        inner.push((*name).to_owned());
        if self
            .by_place
            .contains_key(&(root.to_owned(), inner.clone()))
        {
            return self.descend(root, inner, further, depth + 1);
        }
        let file = file?;
        for handed_on in file.re_exports() {
            let target: Vec<&str> = handed_on.split("::").collect();
            let (last, before) = target.split_last()?;
            let before = match before.first() {
                Some(&"self") => &before[1..],
                _ => before,
            };
            if *last == *name {
                let mut way = before.to_vec();
                way.push(last);
                return self.descend(root, at, &way, depth + 1);
            }
            // A glob of another file: it may be there.
            if *last == "*" {
                let mut way = at.clone();
                way.extend(before.iter().map(|one| (*one).to_owned()));
                let there = self.by_place.get(&(root.to_owned(), way.clone()));
                let defines = there.is_some_and(|there| defines(there, name));
                if defines {
                    return there.map(|there| there.path.clone());
                }
            }
        }
        Some(file.path.clone())
    }
}

/// Whether a file defines an item of that name.
fn defines(file: &SourceFile, name: &str) -> bool {
    ["struct", "enum", "fn", "const", "type", "trait", "use"]
        .iter()
        .any(|kind| file.text.contains(&format!("{kind} {name}")))
        || file.re_exports().iter().any(|path| path.ends_with(name))
}
