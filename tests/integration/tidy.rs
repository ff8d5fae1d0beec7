//! The shape of the code, enforced: lengths, headers, edges between crates, technologies, failpoints.
//!
//! Owns: the limits, and the table of each crate's allowed dependencies. Does not own: parsing Rust (`source`),
//! formatting and lints (rustfmt and clippy).

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::source::{Source, all_sources};

const LINES_MAX: usize = 300;
/// Larger than for production code: tests are lists of cases, and another case belongs next to the others.
const TEST_LINES_MAX: usize = 360;
const FUNCTION_LINES_MAX: usize = 70;

/// The workspace crates on which each crate may depend, and the fenced technologies that it may use. A crate's tests
/// may use more.
const EDGES: [(&str, &[&str], &[&str]); 13] = [
    ("common", &[], &[]),
    ("nats", &["common"], &["async-nats", "nkeys"]),
    ("catalog", &["common"], &["sqlx"]),
    (
        "lake",
        &["catalog", "common"],
        &["arrow-array", "arrow-buffer", "arrow-schema", "datafusion", "object_store", "parquet"],
    ),
    ("open_tables", &["catalog", "common", "lake"], &["object_store"]),
    (
        "service",
        &["catalog", "common", "lake", "nats"],
        &["anyhow", "axum", "metrics-exporter-prometheus", "tracing-subscriber"],
    ),
    (
        "ingester",
        &["catalog", "common", "consumer", "lake", "nats", "service"],
        &["arrow-array", "arrow-schema", "axum"],
    ),
    (
        "writer",
        &["catalog", "common", "lake", "open_tables", "service"],
        &["arrow-array", "arrow-buffer", "arrow-schema", "object_store", "parquet"],
    ),
    ("consumer", &["catalog", "common", "lake"], &["arrow-array", "arrow-json", "arrow-schema"]),
    ("serving", &["catalog", "common", "lake", "service"], &["arrow-array", "arrow-schema", "axum", "datafusion"]),
    (
        ".",
        &["catalog", "common", "consumer", "ingester", "lake", "open_tables", "service", "serving", "writer"],
        &["anyhow", "arrow-array", "clap", "object_store"],
    ),
    ("tests/support", &[], &["anyhow", "async-nats", "nkeys", "object_store"]),
    (
        "tests/simulation",
        &["catalog", "common", "consumer", "ingester", "lake", "nats", "open_tables", "writer"],
        &["arrow-array", "clap", "object_store", "parquet", "sqlx"],
    ),
];

/// Libraries that only a crate with an entry in [`EDGES`] may use.
const FENCED: [&str; 15] = [
    "anyhow",
    "arrow-array",
    "arrow-buffer",
    "arrow-json",
    "arrow-schema",
    "async-nats",
    "axum",
    "clap",
    "datafusion",
    "metrics-exporter-prometheus",
    "nkeys",
    "object_store",
    "parquet",
    "sqlx",
    "tracing-subscriber",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with every line of `faults`, so that one run shows all of them.
#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_and_functions_fit_a_reader() {
    let mut faults = Vec::new();
    let (mut files, mut functions) = (0, 0);
    for source in all_sources(root()) {
        files += 1;
        let (kind, lines_max) = if source.is_test() { ("test", TEST_LINES_MAX) } else { ("production", LINES_MAX) };
        let lines = source.line_count();
        if lines > lines_max {
            faults.push(format!("{}: {lines} lines; a {kind} file has at most {lines_max}", source.name));
        }
        for function in source.functions() {
            functions += 1;
            if function.lines > FUNCTION_LINES_MAX {
                let (name, line, lines) = (&function.name, function.line, function.lines);
                let file = &source.name;
                faults.push(format!(
                    "{file}:{line}: {name} has {lines} lines; a function has at most {FUNCTION_LINES_MAX}"
                ));
            }
        }
    }
    assert!(files > 300 && functions > 2_000, "{files} files with {functions} functions were found");
    none(&faults);
}

#[test]
fn every_file_says_what_it_owns() {
    let mut faults = Vec::new();
    for source in all_sources(root()) {
        let header = source.header();
        let says_what_it_owns = header.contains("Owns:") && header.contains("oes not own:");
        if header.is_empty() {
            faults.push(format!("{}: does not begin with //!", source.name));
        } else if !source.is_test() && !says_what_it_owns {
            faults.push(format!("{}: its header lacks `Owns:` or `Does not own:`", source.name));
        }
    }
    none(&faults);
}

/// The names below `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]"));
    let lines =
        section.unwrap_or_default().lines().skip(1).filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn crates_use_what_they_may() {
    let workspace = std::fs::read_to_string(root().join("Cargo.toml")).expect("the workspace's manifest");
    let members = workspace.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).expect("members");
    let members: BTreeSet<&str> = members.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let known: BTreeSet<&str> = EDGES.iter().map(|(folder, ..)| *folder).filter(|folder| *folder != ".").collect();
    assert_eq!(members, known, "each crate of the workspace has a line in EDGES");
    let ours: BTreeSet<&str> = EDGES.iter().map(|(folder, ..)| folder.rsplit('/').next().unwrap_or(folder)).collect();
    let mut faults = Vec::new();
    for (folder, crates, technologies) in EDGES {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let used = dependencies(&manifest);
        assert!(!used.is_empty(), "{folder} has dependencies");
        let is_fenced = |name: &str| ours.contains(name) || FENCED.contains(&name);
        let allowed: BTreeSet<&str> = crates.iter().chain(technologies).copied().collect();
        for name in used.iter().filter(|name| is_fenced(name)) {
            if !allowed.contains(name.as_str()) {
                faults.push(format!("{folder}/Cargo.toml: {name} is not for this crate"));
            }
        }
        for name in allowed.iter().filter(|name| !used.contains(**name)) {
            faults.push(format!("{folder}/Cargo.toml: EDGES allows {name}, which is not used"));
        }
    }
    none(&faults);
}

/// The words in backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_map_of_the_architecture_page_is_the_table_of_edges() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page");
    let rows = page.lines().skip_while(|line| !line.starts_with("| folder |")).skip(2);
    let mut faults = Vec::new();
    let mut mapped = BTreeSet::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let folder = if cells[1] == "`src`" { "." } else { cells[1].trim_matches('`') };
        mapped.insert(folder);
        let Some((_, crates, _)) = EDGES.iter().find(|(known, ..)| *known == folder) else { continue };
        // `main.rs` is the place where a crate is used.
        let used: BTreeSet<&str> = quoted(cells[3]).into_iter().filter(|name| *name != "main.rs").collect();
        if used != crates.iter().copied().collect() {
            faults.push(format!("{folder}: the page says {used:?}, EDGES {crates:?}"));
        }
    }
    assert_eq!(mapped, EDGES.iter().map(|(folder, ..)| *folder).collect(), "each crate has a row");
    none(&faults);
}

#[test]
fn every_failpoint_is_registered_and_every_registered_one_is_reached() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in all_sources(root()).filter(|source| !source.is_test() && !source.name.ends_with("failpoint.rs")) {
        for call in ["failpoint::hit(\"", "failpoint::hit_at(\"", "failpoint::fails(\""] {
            for rest in source.text.split(call).skip(1) {
                let name = rest.split('"').next().unwrap_or_default().to_owned();
                places.entry(name).or_default().push(source.name.clone());
            }
        }
    }
    let reached: BTreeSet<&str> = places.keys().map(String::as_str).collect();
    let registered: BTreeSet<&str> = common::failpoint::NAMES.iter().copied().collect();
    assert_eq!(reached, registered);
}

#[test]
fn the_scanner_sees_what_it_judges() {
    let text = "//! Head.\n\nfn short() {}\n\nimpl X {\n    async fn long<T>(a: T) -> u8\n    where T: Sized {\n        let s = \"fn not() {\";\n        // fn neither() {\n        1\n    }\n}\n";
    let source = Source::new("a.rs".to_owned(), text.to_owned());
    let found: Vec<_> = source.functions().into_iter().map(|found| (found.name, found.line, found.lines)).collect();
    assert_eq!(found, [("short".to_owned(), 3, 1), ("long".to_owned(), 6, 6)]);
    assert_eq!((source.line_count(), source.header().as_str()), (12, "Head."));
    assert!(!source.is_test() && Source::new("a/tests/b.rs".to_owned(), String::new()).is_test());
    assert_eq!(
        dependencies(
            "[package]\nname = \"x\"\n\n[dependencies]\na.workspace = true\nb = { path = \"b\" }\n\n[lints]\n"
        )
        .len(),
        2
    );
}
