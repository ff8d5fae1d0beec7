//! The OpenAPI document of the HTTP service, as it is served.
//!
//! Owns: serving it; a test compares it with the routes. Does not own: its text (`openapi.json`), the routes (`routes`).

use axum::http::header;
use axum::response::IntoResponse;

/// The document. `docs/http.md` explains what it leaves out.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use support::http;

    use super::super::access::Demand;
    use super::super::routes::ROUTES;
    use super::super::tests::Setup;
    use super::DOCUMENT;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    /// Paths of the document with their methods in upper case.
    fn documented() -> Vec<(String, BTreeSet<String>)> {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let methods = |operations: &Value| {
            let names = operations.as_object().expect("operations").keys();
            names.filter(|name| *name != "parameters").map(|name| name.to_uppercase()).collect()
        };
        paths.iter().map(|(path, operations)| (path.clone(), methods(operations))).collect()
    }

    #[test]
    fn the_document_asks_for_a_token_where_the_route_does() {
        let document = document();
        assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        assert_eq!(document["security"], serde_json::json!([{ "token": [] }, {}]), "once there is any token");
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase()];
            let is_open = route.demand == Demand::Nothing;
            let place = format!("{} {}", route.method, route.path);
            assert_eq!(operation["security"].as_array().is_some_and(Vec::is_empty), is_open, "{place}");
            assert_eq!(operation["responses"]["401"].is_object(), !is_open, "{place}");
        }
    }

    #[tokio::test]
    async fn the_document_has_the_paths_and_methods_of_the_router() {
        let setup = Setup::new().await;
        let documented = documented();
        let listed =
            documented.iter().flat_map(|(path, methods)| methods.iter().map(|method| (path.clone(), method.clone())));
        let routed = ROUTES.iter().map(|route| (route.path.to_owned(), route.method.to_owned()));
        assert_eq!(listed.collect::<BTreeSet<_>>(), routed.collect());
        for (path, methods) in documented {
            // No path takes PUT, so that the answer names the methods that it takes.
            let url = format!("{}{}", setup.url, path.replace("{topic}", "orders").replace("{partition}", "0"));
            let url = url.replace("{group}", "g").replace("{member}", "0197a000-0000-7000-8000-000000000001");
            let answer = http::request("PUT", &url, &[], b"").await.expect("an answer");
            assert_eq!(answer.status, 405, "{path}");
            let allowed = answer.header("allow").expect("the methods").split(',').map(|name| name.trim().to_owned());
            let allowed: BTreeSet<String> = allowed.filter(|name| name != "HEAD").collect();
            assert_eq!(allowed, methods, "{path}");
        }
        let served = http::get(&format!("{}/v1/openapi.json", setup.url)).await.expect("an answer");
        assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
        assert_eq!(serde_json::from_slice::<Value>(&served.body).expect("JSON"), document());
    }

    #[test]
    fn every_code_of_an_error_is_documented() {
        let errors = include_str!("error.rs").split("enum Code {").nth(1).expect("the codes");
        let records = include_str!("answer.rs").split("enum RecordCode {").nth(1).expect("the codes");
        let codes = |text: &str| {
            let body = text.split("\n}").next().expect("its end").to_owned();
            let names = body
                .lines()
                .map(str::trim)
                .filter(|line| line.ends_with(','))
                .map(|line| snake(&line[..line.len() - 1]));
            names.collect::<BTreeSet<String>>()
        };
        let schema = |name: &str| {
            let document = document();
            let listed = document["components"]["schemas"][name]["enum"].as_array().expect("a list").clone();
            listed.into_iter().map(|code| code.as_str().expect("text").to_owned()).collect::<BTreeSet<String>>()
        };
        assert_eq!(codes(errors), schema("ErrorCode"));
        assert_eq!(codes(records), schema("RecordErrorCode"));
        let page = include_str!("../../../docs/http.md");
        for code in codes(errors).union(&codes(records)) {
            assert!(page.contains(&format!("| `{code}` |")), "docs/http.md lacks {code}");
        }
    }

    /// `TooLarge` as `too_large`.
    fn snake(name: &str) -> String {
        let mut text = String::new();
        for character in name.chars() {
            if character.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.extend(character.to_lowercase());
        }
        text
    }
}
