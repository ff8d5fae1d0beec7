//! Wrong variables of an object store: one clear line and exit code 2, from every command.

use support::keys::Authority;
use support::nats::{NatsClient, NatsOptions, NatsServer};
use support::port;

use crate::binary::Siltstone;

const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "long-secret"), ("AWS_ALLOW_HTTP", "true")];

fn on(store: &str, settings: &[(&str, &str)]) -> Siltstone {
    let siltstone = Siltstone::new().with("STORAGE_URL", store);
    settings.iter().fold(siltstone, |siltstone, (name, value)| siltstone.with(name, value))
}

#[tokio::test]
async fn an_endpoint_without_a_scheme_is_refused_and_nothing_panics() {
    for (name, endpoint, why) in [
        ("AWS_ENDPOINT_URL", "minio:9000", "begins with http:// or https://"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:9000", "begins with http:// or https://"),
        ("AWS_ENDPOINT_URL", "//minio:9000", "begins with http:// or https://"),
        ("AWS_ENDPOINT_URL", "http:/minio:9000", "begins with http:// or https://"),
        ("AWS_ENDPOINT_URL_S3", "http://", "no URL"),
        ("AWS_PROXY_URL", "proxy:3128", "begins with http://"),
        ("AWS_REGION", "eu west\u{1}", "no request can carry"),
        ("AWS_SESSION_TOKEN", "a\nb", "no request can carry"),
        ("AWS_ALLOW_HTTP", "maybe", "true or false"),
    ] {
        let siltstone = on("s3://lake/p", &KEYS).with(name, endpoint);
        for command in [&["up", "--stdin", "t"][..], &["doctor"], &["topic", "list"], &["query", "SELECT 1"]] {
            let answer = siltstone.run(command).await.fails(2, &[name, why]);
            assert_eq!(answer.err.lines().count(), 1, "{answer:#?}");
        }
    }
    for (store, name, value) in [
        ("az://lake/p", "AZURE_STORAGE_ENDPOINT", "azurite:10000"),
        ("az://lake/p", "AZURE_STORAGE_ACCOUNT_NAME", "a b"),
        ("gs://lake/p", "GOOGLE_BASE_URL", "//gcs:4443"),
    ] {
        on(store, &[(name, value)]).run(&["doctor"]).await.fails(2, &[&format!("{name}={value}")]);
    }
}

#[tokio::test]
async fn keys_come_from_a_profile_and_a_profile_without_keys_is_refused() {
    let s3 = support::s3::S3::shared().expect("an S3 server");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("credentials");
    let keys = format!(
        "[mine]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = {}\n[sso]\nsso_session = x\n",
        s3.access_key, s3.secret_key, s3.region
    );
    std::fs::write(&file, keys).expect("written");
    let store = format!("s3://{}/{}", s3.bucket, s3.fresh_prefix());
    let siltstone = on(&store, &[("AWS_ENDPOINT_URL", &s3.endpoint), ("AWS_ALLOW_HTTP", "true")])
        .with("AWS_SHARED_CREDENTIALS_FILE", file.to_str().expect("UTF-8"));
    let mine = siltstone.clone().with("AWS_PROFILE", "mine");
    mine.run(&["topic", "create", "t", "--column", "id:int64"]).await.ok();
    let fed = mine.run_with_input(&["up", "--stdin", "t"], b"{\"id\":1}\n").await.ok();
    fed.says(&["committed 1 records"]);
    let sso = siltstone.with("AWS_PROFILE", "sso").run(&["up", "--stdin", "t"]).await;
    sso.fails(1, &["AWS_PROFILE=sso", "sso_session", "export-credentials"]);
}

#[tokio::test]
async fn a_store_without_credentials_names_the_variables_and_not_an_address() {
    let siltstone = on("s3://lake/p", &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ALLOW_HTTP", "true")]);
    let answer = siltstone.run(&["up", "--stdin", "t"]).await;
    let answer = answer.fails(1, &["no credentials", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]);
    assert!(!answer.err.contains("169.254"), "{answer:#?}");
}

#[tokio::test]
async fn an_authority_of_its_own_is_trusted_when_it_is_named() {
    let (authority, page) = (Authority::new().expect("openssl"), port::free().expect("a port"));
    let (certificate, key) = authority.sign("server", 2).expect("signed");
    let ca_file = authority.ca_file();
    let options = NatsOptions {
        lines: vec![
            format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}"),
            format!("https: \"127.0.0.1:{page}\""),
        ],
        client: NatsClient { ca_file: Some(ca_file.clone()), ..NatsClient::default() },
        ..NatsOptions::default()
    };
    // Its page is no store, but the handshake is the same.
    let _server = NatsServer::start_with(options).await.expect("a NATS server");
    let siltstone = on("s3://lake/p", &KEYS).with("AWS_ENDPOINT_URL", &format!("https://127.0.0.1:{page}"));
    let unknown = siltstone.run(&["up", "--stdin", "t"]).await;
    unknown.fails(1, &["UnknownIssuer", "AWS_CA_BUNDLE or SSL_CERT_FILE"]);
    let ca_file = ca_file.to_str().expect("UTF-8");
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let known = siltstone.clone().with(name, ca_file).run(&["up", "--stdin", "t"]).await;
        assert!(known.code == 1 && !known.err.contains("UnknownIssuer"), "{name}: {known:#?}");
        assert!(known.err.contains("cannot put an object"), "{name}: {known:#?}");
    }
    let absent = siltstone.with("AWS_CA_BUNDLE", "/absent.pem").run(&["up", "--stdin", "t"]).await;
    absent.fails(1, &["AWS_CA_BUNDLE=/absent.pem", "No such file"]);
}
