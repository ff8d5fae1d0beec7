//! Requests that schemathesis makes of the OpenAPI document, good and bad ones: with and without tokens, every answer is one
//! that the document allows, and none is a defect.
//!
//! Short by default; `scripts/http-test EXAMPLES` runs as long as one likes. A seed in `SILTSTONE_HTTP_SEED` repeats a run.

use std::process::Command;

use support::process::run_well;
use support::tools;

use super::*;

/// Longest run.
const RUN_MAX: Duration = Duration::from_secs(3600);

/// The check that a request which the document allows is accepted. It is left out, since no OpenAPI document can say these
/// rules: at most one of the parameters and the header that give a key, and of those that give a time; options that go
/// together with one format alone; names that differ in more than case; a change that fits the columns that the topic has,
/// and a partition or a topic that exists.
const LEFT_OUT: &str = "positive_data_acceptance";

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: allowed is a number")),
        Err(_) => default,
    }
}

/// Runs schemathesis against the server, which sends this token with every request.
async fn requests(siltstone: &Siltstone, server: &Server, token: Option<&str>) {
    let mut command = Command::new(tools::schemathesis().expect("it is installed"));
    command.current_dir(siltstone.path()).env("PYTHONUTF8", "1");
    command.args(["run", &format!("{}/v1/openapi.json", server.url), "--no-color", "--exclude-checks", LEFT_OUT]);
    command.args(["--phases", "examples,coverage,fuzzing", "--generation-database", "none"]);
    command.args(["--request-timeout", "60", "--continue-on-failure"]);
    command.args(["--max-examples", &setting("SILTSTONE_HTTP_EXAMPLES", 10).to_string()]);
    let seed = setting("SILTSTONE_HTTP_SEED", u64::from(std::process::id()));
    command.args(["--seed", &seed.to_string()]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let said = run_well("schemathesis", command, b"", RUN_MAX).await;
    let said = said.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    assert!(said.contains("Operations:       26 selected / 26 total"), "{said}");
}

/// The lines of the metric of requests, as `(route, status)`.
async fn answers(server: &mut Server) -> Vec<(String, String)> {
    let pages = server.logged("http").await;
    let metrics = http::get(&format!("http://{}/metrics", pages.as_str().expect("an address"))).await.expect("a page");
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {line}"));
        rest.split('"').next().expect("a value").to_owned()
    };
    let text = metrics.text();
    let lines = text.lines().filter(|line| line.starts_with("siltstone_http_requests_total{"));
    lines.map(|line| (label(line, "route"), label(line, "status"))).collect()
}

/// Ends the server in good order, and asks the audit for what is left.
async fn end(siltstone: &Siltstone, server: Server) {
    assert!(!server.log_text().contains("panicked"), "{}", server.log_text());
    server.stop().await;
    siltstone.run(&["audit"]).await.ok();
}

#[tokio::test]
async fn every_answer_without_tokens_is_one_that_the_document_allows() {
    let siltstone = patient();
    let mut server = Server::start(&siltstone).await;
    requests(&siltstone, &server, None).await;
    let answers = answers(&mut server).await;
    for wanted in ["/v1/topics/{topic}/records", "/v1/topics"] {
        assert!(answers.iter().any(|(route, status)| route == wanted && status.starts_with('2')), "{answers:?}");
    }
    end(&siltstone, server).await;
}

#[tokio::test]
async fn every_answer_to_a_token_is_one_that_the_document_allows_and_nobody_is_served_without() {
    let siltstone = patient();
    let all = ["token", "create", "all", "--allow", "admin:*", "--allow", "read:*", "--allow", "produce:*"];
    let token = siltstone.run(&all).await.ok().out.trim_end().to_owned();
    let mut server = Server::start(&siltstone).await;
    requests(&siltstone, &server, None).await;
    for (route, status) in answers(&mut server).await {
        assert!(route == "/v1/openapi.json" || !status.starts_with('2'), "{route} answered {status} without a token");
    }
    requests(&siltstone, &server, Some(&token)).await;
    let served = answers(&mut server).await;
    assert!(served.iter().any(|(route, status)| route == "/v1/topics" && status == "200"), "{served:?}");
    end(&siltstone, server).await;
}
