//! Certificates of a test's own authority: good pairs, broken ones, and pairs that change.

use support::keys::Authority;

use super::*;

fn files(authority: &Authority, name: &str) -> TlsFiles {
    let (certificate, key) = authority.sign(name, 2).expect("signed");
    TlsFiles { certificate, key, protocol: Protocol::Http1 }
}

async fn fault(files: TlsFiles) -> String {
    Tls::open(files).await.expect_err("it cannot be used").to_string()
}

#[tokio::test]
async fn each_fault_names_the_setting_and_the_file() {
    let authority = Authority::new().expect("openssl");
    let good = files(&authority, "good");
    Tls::open(good.clone()).await.expect("a good pair");
    let other = files(&authority, "other");
    let at = |name: &str, text: &str| {
        let path = good.key.with_file_name(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let absent = good.key.with_file_name("absent.pem");
    let error = fault(TlsFiles { certificate: absent.clone(), ..good.clone() }).await;
    assert!(error.starts_with(&format!("cannot read INGEST_TLS_CERT={}: No such file", absent.display())), "{error}");
    let error = fault(TlsFiles { key: absent.clone(), ..good.clone() }).await;
    assert!(error.starts_with(&format!("cannot read INGEST_TLS_KEY={}: ", absent.display())), "{error}");
    let folder = good.key.parent().expect("a folder").to_owned();
    let error = fault(TlsFiles { key: folder.clone(), ..good.clone() }).await;
    assert_eq!(error, format!("cannot read INGEST_TLS_KEY={}: Is a directory (os error 21)", folder.display()));
    let error = fault(TlsFiles { certificate: at("text.pem", "no certificate"), ..good.clone() }).await;
    assert!(
        error.contains("INGEST_TLS_CERT=") && error.ends_with("text.pem holds no certificate in PEM form"),
        "{error}"
    );
    let error = fault(TlsFiles { key: good.certificate.clone(), ..good.clone() }).await;
    assert!(error.contains("INGEST_TLS_KEY=") && error.contains("holds no private key in PEM form"), "{error}");
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let error = fault(TlsFiles { certificate: at("broken.pem", broken), ..good.clone() }).await;
    assert!(error.contains("INGEST_TLS_CERT=") && error.contains("broken.pem is not PEM"), "{error}");
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = fault(TlsFiles { certificate: at("empty.pem", empty), ..good.clone() }).await;
    assert!(error.contains("INGEST_TLS_CERT=") && error.contains("a certificate that cannot be read"), "{error}");
    let error = fault(TlsFiles { key: other.key.clone(), ..good.clone() }).await;
    let expected =
        format!("INGEST_TLS_KEY={} is not the key of the first certificate in INGEST_TLS_CERT=", other.key.display());
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn a_new_pair_is_used_and_a_broken_one_leaves_the_old_in_use() {
    let authority = Authority::new().expect("openssl");
    let server = files(&authority, "server");
    let mut tls = Tls::open(server.clone()).await.expect("a good pair");
    let current = tls.current();
    let first = Arc::clone(&current.borrow());
    let in_use = || Arc::clone(&current.borrow());
    tls.look().await;
    assert!(Arc::ptr_eq(&first, &in_use()), "nothing has changed");

    let key = std::fs::read(&server.key).expect("read");
    std::fs::write(&server.key, "broken").expect("written");
    tls.look().await;
    assert!(Arc::ptr_eq(&first, &in_use()), "a broken key");
    std::fs::remove_file(&server.key).expect("removed");
    tls.look().await;
    assert!(Arc::ptr_eq(&first, &in_use()), "an absent key");

    files(&authority, "server");
    tls.look().await;
    let second = in_use();
    assert!(!Arc::ptr_eq(&first, &second), "the new pair");
    tls.look().await;
    assert!(Arc::ptr_eq(&second, &in_use()), "it is read once");
    // The old key does not fit the new certificate.
    std::fs::write(&server.key, key).expect("written");
    tls.look().await;
    assert!(Arc::ptr_eq(&second, &in_use()), "another key");
}
