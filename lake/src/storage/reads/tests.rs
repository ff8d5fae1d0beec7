//! What is no file, and stores that are silent.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use support::fault_store::{Fault, FaultStore, Operation};

use super::*;
use crate::object::{Found, Keep, ListedObject};
use crate::storage::Storage;

const PLACE: &str = "s3://bucket/prefix";

fn silence() -> End {
    End::Silence(PLACE.to_owned(), Duration::from_secs(30))
}

#[tokio::test]
async fn what_is_no_file_is_an_error_at_once_and_a_link_to_a_file_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let storage = Storage::local(directory.path().join("data")).expect("opens");
    let root = storage.local_root.clone().expect("a directory");
    let at = |name: &str| root.join("t").join(name);
    std::fs::create_dir_all(at("directory")).expect("made");
    assert!(Command::new("mkfifo").arg(at("fifo")).status().expect("runs").success());
    let _listening = UnixListener::bind(at("socket")).expect("bound");
    symlink("/dev/zero", at("device")).expect("linked");
    symlink(at("fifo"), at("link")).expect("linked");
    std::fs::write(at("file"), "abc").expect("written");
    symlink(at("file"), at("good")).expect("linked");
    for (name, kind) in [
        ("directory", "a directory"),
        ("fifo", "a FIFO"),
        ("link", "a FIFO"),
        ("socket", "a socket"),
        ("device", "a device"),
    ] {
        let key = Path::from(format!("t/{name}"));
        let expected = format!("{} is {kind}, not a file", at(name).display());
        for error in [
            storage.store.get(&key).await.map(|_| ()).expect_err(name),
            storage.store.head(&key).await.map(|_| ()).expect_err(name),
            storage.store.get_range(&key, 0..1).await.map(|_| ()).expect_err(name),
        ] {
            assert!(error.to_string().contains(&expected), "{error}");
        }
        let listed = ListedObject { key, size_bytes: 3, checksum: 0 };
        assert!(matches!(listed.find(storage.store.as_ref(), Keep::Nothing).await, Found::Unreadable(_)), "{name}");
    }
    for name in ["file", "good"] {
        let key = Path::from(format!("t/{name}"));
        let read = storage.store.get(&key).await.expect("a file").bytes().await.expect("readable");
        assert_eq!(read.as_ref(), b"abc");
    }
    let absent = storage.store.get(&Path::from("t/absent")).await.expect_err("absent");
    assert!(matches!(absent, Error::NotFound { .. }), "{absent}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_begin_is_given_up_with_the_place_and_the_time() {
    let (inner, key) = (Arc::new(InMemory::new()), Path::from("k"));
    inner.put(&key, "abc".into()).await.expect("put");
    let faults = FaultStore::new(inner);
    faults.next(Operation::Get, 1, Fault::slow(Duration::from_secs(31)));
    faults.next(Operation::Get, 1, Fault::slow(Duration::from_secs(29)));
    let store = EndingReads { store: faults, end: silence() };
    let error = store.get(&key).await.expect_err("silent");
    let silent = silent_store(&error).expect("it says so");
    assert_eq!(*silent, SilentStore { place: PLACE.to_owned(), seconds: 30 });
    let text = "s3://bucket/prefix has sent nothing for 30 s; is the store up and reachable from here?";
    assert!(error.to_string().ends_with(text), "{error}");
    let slow = store.get(&key).await.expect("within the time").bytes().await.expect("readable");
    assert_eq!(slow.as_ref(), b"abc");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_read_to_its_end_and_one_that_stops_is_given_up() {
    let slow = |count: usize| {
        stream::iter(0..count).then(|number| async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok(Bytes::from(number.to_string()))
        })
    };
    let whole: Vec<_> = pieces(slow(100).boxed(), silence()).collect().await;
    assert!(whole.len() == 100 && whole.iter().all(Result::is_ok), "2,000 s, with some bytes in each 30");
    let stops = slow(2).chain(stream::pending());
    let read: Vec<_> = pieces(stops.boxed(), silence()).collect().await;
    assert!(read.len() == 3 && read[..2].iter().all(Result::is_ok));
    let error = read[2].as_ref().expect_err("it stopped");
    assert!(silent_store(error).is_some(), "{error}");
}
