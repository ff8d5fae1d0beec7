//! The documents' statements: every test that they name exists, and every snippet is part of an example that is built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::binary::Siltstone;

const DOCUMENTS: [&str; 7] = [
    "README.md",
    "docs/reliability.md",
    "docs/data.md",
    "docs/embedded.md",
    "docs/catalog.md",
    "docs/requirements.md",
    "ARCHITECTURE.md",
];
const SOURCES: [&str; 13] = [
    "catalog",
    "common",
    "consumer",
    "examples",
    "ingester",
    "lake",
    "nats",
    "open_tables",
    "service",
    "serving",
    "src",
    "tests",
    "writer",
];

/// Names of tests are sentences: words in backticks with at least three underscores.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split('`').skip(1).step_by(2);
    let name = |word: &str| word.rsplit("::").next().unwrap_or(word).to_owned();
    let is_name = |word: &String| {
        word.matches('_').count() >= 3
            && !word.starts_with("siltstone_")
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    words.map(name).filter(is_name).collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_named_in_the_docs_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    SOURCES.iter().for_each(|source| sources(&root.join(source), &mut files));
    let code: String = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
    let mut missing = Vec::new();
    let mut named = 0;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(root.join(document)).expect(document);
        for name in names_in(&text) {
            named += 1;
            if !code.contains(&format!("fn {name}(")) {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(named > 20, "the documents name {named} tests");
    assert!(missing.is_empty(), "named, but not there:\n{}", missing.join("\n"));
}

/// The Rust snippets of a document.
fn snippets(document: &str) -> Vec<&str> {
    let blocks = document.split("```rust\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("a block has an end")).collect()
}

#[test]
fn the_readmes_snippets_are_parts_of_the_examples() {
    const EXAMPLES: [&str; 2] = ["ingester/examples/simple_producer.rs", "examples/embedded.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let readme = read("README.md");
    let snippets = snippets(&readme);
    assert_eq!(snippets.len(), EXAMPLES.len(), "each snippet has an example");
    for (snippet, path) in snippets.into_iter().zip(EXAMPLES) {
        let example = read(path);
        let example: String =
            example.lines().map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
        assert!(example.contains(snippet), "not in {path}:\n{snippet}");
    }
}

#[test]
fn the_image_is_built_from_every_member_of_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    let (manifest, ignored) = (read("Cargo.toml"), read(".dockerignore"));
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
    let folders = members.split(',').map(|member| member.trim().trim_matches('"').split('/').next().expect("a path"));
    let mut folders: Vec<&str> = folders.filter(|folder| !folder.is_empty()).chain(["src", "Cargo.lock"]).collect();
    folders.dedup();
    assert!(folders.len() > 10, "{folders:?}");
    let missing: Vec<_> =
        folders.iter().filter(|folder| !ignored.lines().any(|line| line == format!("!{folder}"))).collect();
    assert!(missing.is_empty(), ".dockerignore leaves out {missing:?}");
}

#[test]
fn the_architecture_page_stays_short() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("a page");
    assert!(text.lines().count() <= 250, "{} lines", text.lines().count());
}

/// The words of a text that are names of metrics.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    words.filter(|word| word.starts_with("siltstone_")).collect()
}

#[test]
fn the_page_of_metrics_has_exactly_those_of_the_sources() {
    const CALLS: [&str; 3] = ["describe_counter!(", "describe_gauge!(", "describe_histogram!("];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    SOURCES.iter().filter(|source| **source != "tests").for_each(|source| sources(&root.join(source), &mut files));
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
    let (mut described, mut calls) = (BTreeSet::new(), 0);
    for text in &texts {
        let here: usize = CALLS.iter().map(|call| text.matches(*call).count()).sum();
        if here > 0 {
            described.extend(metrics_in(text));
            calls += here;
        }
    }
    assert_eq!(described.len(), calls, "each metric has a constant and one description: {described:?}");
    let page = std::fs::read_to_string(root.join("docs/metrics.md")).expect("text");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let rows: BTreeSet<&str> = rows.map(|(name, _)| name).filter(|name| name.starts_with("siltstone_")).collect();
    assert_eq!(rows, described, "the rows of docs/metrics.md, and what the sources describe");
    let unknown: Vec<_> = metrics_in(&page).difference(&described).copied().collect();
    assert!(unknown.is_empty(), "docs/metrics.md names what no source has: {unknown:?}");
}

#[tokio::test]
async fn the_page_of_system_tables_has_their_columns() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/system-tables.md");
    let page = std::fs::read_to_string(path).expect("text");
    let mut written = BTreeSet::new();
    for section in page.split("\n## `siltstone.").skip(1) {
        let (table, rows) = section.split_once('`').expect("a name has an end");
        for row in rows.lines().filter(|line| line.starts_with("| `")) {
            let cell = row.split('|').nth(1).expect("a row has cells");
            written.extend(cell.split('`').skip(1).step_by(2).map(|column| format!("{table},{column}")));
        }
    }
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t"]).await.ok();
    let sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'siltstone'";
    let answer = siltstone.run(&["query", "--output", "csv", sql]).await.ok();
    let there: BTreeSet<String> = answer.out.lines().skip(1).map(str::to_owned).collect();
    assert_eq!(written, there, "the columns of docs/system-tables.md, and those that are there");
}

#[test]
fn the_costs_in_the_docs_are_those_of_the_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let computed = std::process::Command::new("python3").arg(root.join("scripts/cost")).output().expect("Python runs");
    assert!(computed.status.success(), "{}", String::from_utf8_lossy(&computed.stderr));
    let table = String::from_utf8(computed.stdout).expect("text");
    assert!(table.lines().count() > 10, "{table}");
    let page = std::fs::read_to_string(root.join("docs/scale.md")).expect("text");
    assert!(page.contains(table.trim()), "docs/scale.md lacks the output of scripts/cost:\n{table}");
}
