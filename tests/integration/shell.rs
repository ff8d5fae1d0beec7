//! The shell of `siltstone query`, on a terminal and from standard input; statements of a file, forms of rows, placeholders.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::binary::Siltstone;

/// Drives a program on a terminal of its own: sends each text after the one before was answered by what is expected. Prints
/// what was on the screen, and the exit code. Arguments: the program with its arguments, its environment, the steps, each as
/// JSON.
const TERMINAL: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios, time
words, environment, steps = map(json.loads, sys.argv[1:4])
pid, terminal = pty.fork()
if pid == 0:
    os.execve(words[0], words, environment)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
seen, begin, deadline = "", 0, time.monotonic() + 300
def read():
    global seen
    if not select.select([terminal], [], [], 1)[0]:
        return True
    try:
        part = os.read(terminal, 65536)
    except OSError:
        return False
    seen += part.decode(errors="replace")
    return bool(part)
for expected, text in steps:
    while expected not in seen[begin:]:
        if time.monotonic() > deadline or not read():
            sys.exit("%r did not come: %r" % (expected, seen))
    begin = seen.index(expected, begin) + len(expected)
    os.write(terminal, text.encode())
while time.monotonic() < deadline and read():
    pass
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen]))
"#;

async fn on_a_terminal(siltstone: &Siltstone, steps: &Value) -> (i64, String) {
    let words = json!([env!("CARGO_BIN_EXE_siltstone"), "query"]).to_string();
    let environment: BTreeMap<&str, String> = BTreeMap::from([
        ("STORAGE_PATH", siltstone.data().display().to_string()),
        ("XDG_STATE_HOME", siltstone.path().join("state").display().to_string()),
        ("TERM", "xterm".to_owned()),
    ]);
    let environment = serde_json::to_string(&environment).expect("JSON");
    let printed = support::python::run(TERMINAL, &[&words, &environment, &steps.to_string()]).await.expect("it ran");
    let (code, seen): (i64, String) = serde_json::from_str(&printed).expect("JSON");
    (code, seen)
}

async fn with_numbers(count: u32) -> Siltstone {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "numbers", "--column", "n:int64", "--column", "word:string"]).await.ok();
    let lines: String = (0..count).map(|n| format!("{{\"n\":{n},\"word\":\"w{n}\"}}\n")).collect();
    siltstone.run_with_input(&["up", "--stdin", "numbers", "--no-check"], lines.as_bytes()).await.ok();
    siltstone
}

const PROMPT: &str = "siltstone> ";

#[tokio::test]
async fn a_shell_on_a_terminal_answers_edits_completes_and_lives_on_after_errors() {
    let siltstone = with_numbers(2_000).await;
    let endless = "SELECT sum(a.n * b.n + c.n % 7) FROM numbers a, numbers b, numbers c;\r";
    let steps = json!([
        [PROMPT, "SELECT 40 + 2 AS answer;\r"],
        ["| 42 ", ""],
        ["1 row in", ""],
        [PROMPT, "SELECT n\r"],
        ["", "FROM numb\t WHERE n = 1999;\r"],
        ["| 1999 |", ""],
        [PROMPT, "SELECT nothing FROM numbers;\r"],
        ["no column nothing", ""],
        [PROMPT, "\\d numbers\r"],
        ["word", ""],
        ["Utf8", ""],
        [PROMPT, "\\dt\r"],
        ["quarantine", ""],
        [PROMPT, "\\nonsense\r"],
        ["there is no command", ""],
        [PROMPT, "\\o csv\r"],
        [PROMPT, "SELECT word, n FROM numbers WHERE n < 2 ORDER BY n;\r"],
        ["word,n\r\nw0,0\r\nw1,1", ""],
        [PROMPT, "\\x\r"],
        ["blocks", "SELECT word FROM numbers WHERE n = 3;\r"],
        ["word | w3", ""],
        [PROMPT, endless],
        ["rows read", "\u{3}"],
        ["cancelled", ""],
        [PROMPT, "SELECT 'half"],
        ["'half", "\u{3}"],
        [PROMPT, "SELECT 1 + 1 AS again;\r"],
        ["again | 2", ""],
        [PROMPT, "\\q\r"],
    ]);
    let (code, seen) = on_a_terminal(&siltstone, &steps).await;
    assert_eq!(code, 0, "{seen}");
    // The history is there in the next shell; a table that is wider than the terminal is shown as blocks.
    let wide = format!("SELECT '{}' AS wide, n FROM numbers WHERE n = 5;\r", "x".repeat(120));
    let steps = json!([
        [PROMPT, "\u{1b}[A\u{1b}[A"],
        ["again", "\r"],
        ["| 2 ", ""],
        [PROMPT, wide],
        ["-[ row 1 ]-", ""],
        [PROMPT, "\u{4}"],
    ]);
    let (code, seen) = on_a_terminal(&siltstone, &steps).await;
    assert_eq!(code, 0, "{seen}");
    let history = std::fs::read_to_string(siltstone.path().join("state/siltstone/history")).expect("a history");
    assert!(history.contains("SELECT n\\nFROM numbers"), "{history}");
}

#[tokio::test]
async fn statements_of_standard_input_run_one_after_the_other_and_a_failure_stops_none() {
    let siltstone = with_numbers(3).await;
    let input = b"\\o json\nSELECT n FROM numbers WHERE n = 1;\nSELECT 1 / 0;\nSELECT ';' AS s; -- end\nSELECT n\nFROM\nnumbers WHERE n = 2";
    let answer = siltstone.run_with_input(&["query"], input).await;
    assert_eq!(answer.code, 1, "{answer:#?}");
    assert_eq!(answer.out, "{\"n\":1}\n{\"s\":\";\"}\n{\"n\":2}\n", "{answer:#?}");
    assert!(answer.err.contains("a statement failed") && answer.err.contains("ivide"), "{answer:#?}");
    let listed = siltstone.run_with_input(&["query"], b"\\d\n\\d quarantine.numbers\n\\q\nSELECT 1;").await.ok();
    listed.says(&["| siltstone  | uploads", "payload"]);
    assert!(!listed.out.contains("Int64(1)"), "nothing after \\q: {listed:#?}");
    siltstone.run_with_input(&["query"], b" \n").await.fails(2, &["give a statement"]);
}

#[tokio::test]
async fn rows_are_written_in_each_form_and_a_file_takes_its_name_when_it_is_whole() {
    let siltstone = with_numbers(4).await;
    let sql = "SELECT n, word, CASE WHEN n = 1 THEN 'a,\"b' END AS odd FROM numbers WHERE n < 2 ORDER BY n";
    let csv = siltstone.run(&["query", sql, "--output", "csv"]).await.ok();
    assert_eq!(csv.out, "n,word,odd\n0,w0,\n1,w1,\"a,\"\"b\"\n");
    let json = siltstone.run(&["query", sql, "--output", "json"]).await.ok();
    assert_eq!(json.out, siltstone.run(&["query", sql, "--json"]).await.ok().out);
    siltstone.run(&["query", sql, "--output", "expanded"]).await.ok().says(&["-[ row 2 ]-", "word | w1"]);

    let file = siltstone.path().join("rows.parquet");
    let path = file.to_str().expect("a path of text");
    let written = ["query", "SELECT * FROM numbers", "--output", "parquet", "--output-file", path];
    let answer = siltstone.run(&written).await.ok();
    assert!(answer.out.is_empty() && answer.err.contains("4 rows"), "{answer:#?}");
    let sum = support::duckdb::query(&format!("SELECT sum(n), count(*) FROM read_parquet('{path}')")).await;
    assert_eq!(sum.expect("DuckDB reads it"), [["6", "4"]]);
    let before = std::fs::read(&file).expect("a file");
    let failing = ["query", "SELECT 1 / (n - 3) FROM numbers", "--output", "parquet", "--output-file", path];
    siltstone.run(&failing).await.fails(1, &["ivide"]);
    assert_eq!(std::fs::read(&file).expect("a file"), before, "what was there stays");
    let beside = std::fs::read_dir(siltstone.path()).expect("a directory").filter_map(Result::ok);
    assert!(!beside.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with(".part")));
    siltstone.run(&["query", sql, "--json", "--output", "csv"]).await.fails(2, &["--json", "--output"]);
    siltstone.run(&["query", sql, "--output-file", "/nowhere/x.csv"]).await.fails(2, &["--output-file /nowhere/x.csv"]);
}

#[tokio::test]
async fn a_file_of_statements_stops_at_the_first_that_fails_and_takes_parameters() {
    let siltstone = with_numbers(9).await;
    let file = siltstone.path().join("statements.sql");
    std::fs::write(
        &file,
        "-- two\nSELECT n FROM numbers WHERE n = $least;\nSELECT count(*) AS c FROM numbers WHERE n > $1;\n",
    )
    .expect("written");
    let path = file.to_str().expect("a path of text");
    let with = ["query", "--file", path, "--output", "json", "--param", "least=3", "--param", "1=6"];
    assert_eq!(siltstone.run(&with).await.ok().out, "{\"n\":3}\n{\"c\":2}\n");
    siltstone.run(&["query", "-f", path, "--param", "least=3"]).await;
    siltstone
        .run(&["query", "-f", path, "--param", "least=x", "--param", "1=6"])
        .await
        .fails(2, &["statement 1 of 2", "\"x\" of $least is not a value of its type"]);
    let extra = ["query", "-f", path, "--param", "least=3", "--param", "1=6", "--param", "more=1"];
    siltstone.run(&extra).await.fails(2, &["no statement of the file has a placeholder $more"]);
    siltstone.run(&["query", "SELECT $1", "--param", "1"]).await.fails(2, &["NAME=VALUE"]);
    siltstone.run(&["query", "SELECT $1", "--param", "1=2", "--param", "$1=3"]).await.fails(2, &["given twice"]);
    let null = ["query", "SELECT count(*) AS c FROM numbers WHERE $n IS NULL", "--param-null", "n", "--output", "json"];
    assert_eq!(siltstone.run(&null).await.ok().out, "{\"c\":9}\n");
    siltstone
        .run(&["query", "SELECT $1", "--param", "1=2", "--param-null", "1"])
        .await
        .fails(2, &["$1 is given twice"]);
    std::fs::write(&file, "SELECT 1 AS one;\nSELECT * FROM nothing;\nSELECT 2 AS two;").expect("written");
    let stopped = siltstone.run(&["query", "-f", path, "--output", "json"]).await;
    assert_eq!((stopped.code, stopped.out.as_str()), (2, "{\"one\":1}\n"), "{stopped:#?}");
    assert!(stopped.err.contains("statement 2 of 3") && stopped.err.contains("no table \"nothing\""), "{stopped:#?}");
    siltstone.run(&["query", "-f", "/nowhere.sql"]).await.fails(2, &["--file /nowhere.sql"]);
}
