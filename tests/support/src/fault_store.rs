//! A wrapper of any object store that injects scripted faults.
//!
//! Owns: the effect and the answer of each call, and a record of both. Does not own: the right reaction. Faults that
//! only an HTTP client can meet are in `http_front`.
//!
//! It has no faults of multipart uploads: Siltstone puts every object in one piece, and a call to that part of the
//! interface panics, so that a change is noticed.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Writing an object.
    Put,
    /// Reading an object.
    Get,
    /// Reading an object's size.
    Head,
    /// Deleting an object.
    Delete,
}

/// The effect of a call on the object or request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No effect.
    None,
    /// The requested effect.
    Done,
    /// Only the first half of a put object is stored.
    Cut,
    /// A put object is stored with one byte changed.
    Changed,
}

/// The answer to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Success.
    Success,
    /// 503 Service Unavailable.
    Unavailable,
    /// 429 or 503 SlowDown.
    Throttled,
    /// No answer in time.
    TimedOut,
    /// 412: the object exists.
    Exists,
    /// 409 ConditionalRequestConflict, which clients also report as "exists".
    Conflict,
    /// 404 NoSuchUpload, which clients report as "not found".
    NoSuchUpload,
    /// 403 Forbidden.
    Denied,
    /// The calling task panics: a defect of a client.
    Panic,
}

/// One deviation of one call.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The real effect.
    pub effect: Effect,
    /// The answer.
    pub answer: Answer,
    /// Delay of the answer.
    pub delay: Duration,
}

impl Fault {
    /// Nothing is done, and the answer reports it.
    pub fn before(answer: Answer) -> Self {
        Self { effect: Effect::None, answer, delay: Duration::ZERO }
    }

    /// The call is done, and the answer denies it.
    pub fn after(answer: Answer) -> Self {
        Self { effect: Effect::Done, answer, delay: Duration::ZERO }
    }

    /// The call is done, and the reply is lost.
    pub fn lost_reply() -> Self {
        Self { delay: Duration::from_millis(100), ..Self::after(Answer::TimedOut) }
    }

    /// Another effect than the requested one, with this answer.
    pub fn wrong(effect: Effect, answer: Answer) -> Self {
        Self { effect, answer, delay: Duration::ZERO }
    }

    /// The call is done, late.
    pub fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::after(Answer::Success) }
    }
}

#[derive(Debug)]
struct Rule {
    operation: Operation,
    prefix: String,
    skip: u64,
    times: u64,
    fault: Fault,
}

/// The calls so far.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Calls.
    pub calls: BTreeMap<Operation, u64>,
    /// Number of real writes under each key.
    pub stored: BTreeMap<String, u64>,
    /// The most concurrent puts.
    pub puts_at_once_max: u64,
    puts_now: u64,
}

/// The store. Calls without a matching rule pass.
#[derive(Debug)]
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    // Std mutexes: held for one read or change, never across an await.
    rules: Mutex<Vec<Rule>>,
    record: Arc<Mutex<Record>>,
    overwrites: AtomicBool,
}

impl FaultStore {
    /// A store around `inner`, without faults so far.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        let (rules, record) = (Mutex::default(), Arc::default());
        Arc::new(Self { inner, rules, record, overwrites: AtomicBool::new(false) })
    }

    /// The next `times` calls of `operation` meet `fault`, after those of earlier rules.
    pub fn next(&self, operation: Operation, times: u64, fault: Fault) -> &Self {
        self.rule(operation, "", 0, times, fault)
    }

    /// As [`FaultStore::next`], for keys that begin with `prefix`, and only after `skip` such calls.
    pub fn rule(&self, operation: Operation, prefix: &str, skip: u64, times: u64, fault: Fault) -> &Self {
        lock(&self.rules).push(Rule { operation, prefix: prefix.to_owned(), skip, times, fault });
        self
    }

    /// From now on an existing object is overwritten, even by a put that must create it.
    pub fn ignore_create_only(&self) {
        self.overwrites.store(true, Ordering::SeqCst);
    }

    /// Number of faults that no call has met yet.
    pub fn left(&self) -> u64 {
        lock(&self.rules).iter().map(|rule| rule.times).sum()
    }

    /// The calls so far.
    pub fn record(&self) -> Record {
        lock(&self.record).clone()
    }

    /// Counts the call and returns its fault, if it meets one.
    fn meet(&self, operation: Operation, key: &Path) -> Option<Fault> {
        *lock(&self.record).calls.entry(operation).or_default() += 1;
        let mut rules = lock(&self.rules);
        let meant = |rule: &&mut Rule| rule.operation == operation && key.as_ref().starts_with(&rule.prefix);
        let rule = rules.iter_mut().filter(|rule| rule.times > 0).find(meant)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }

    async fn store(&self, key: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if self.overwrites.load(Ordering::SeqCst) && matches!(options.mode, PutMode::Create) {
            options.mode = PutMode::Overwrite;
        }
        let result = self.inner.put_opts(key, payload, options).await?;
        *lock(&self.record).stored.entry(key.to_string()).or_default() += 1;
        Ok(result)
    }

    async fn put_with(&self, fault: Fault, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let stored = match fault.effect {
            Effect::None => None,
            Effect::Done => Some(payload),
            Effect::Cut => Some(altered(&payload, |bytes| bytes.truncate(bytes.len() / 2))),
            Effect::Changed => Some(altered(&payload, |bytes| bytes[0] ^= 1)),
        };
        let result = match stored {
            Some(payload) => self.store(key, payload, options).await,
            None => Ok(PutResult { e_tag: None, version: None }),
        };
        tokio::time::sleep(fault.delay).await;
        answer(fault.answer, key)?;
        result
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let _running = Running::new(&self.record);
        match self.meet(Operation::Put, location) {
            Some(fault) => self.put_with(fault, location, payload, options).await,
            None => self.store(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        panic!("objects are put in one piece; faults of multipart uploads are not scripted")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        if let Some(fault) = self.meet(operation, location) {
            tokio::time::sleep(fault.delay).await;
            answer(fault.answer, location)?;
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // A stream outlives this call: the locations arrive later, so the fault is taken here.
        let fault = self.meet(Operation::Delete, &Path::default());
        let inner = Arc::clone(&self.inner);
        let delete = move |location: Result<Path>| {
            let inner = Arc::clone(&inner);
            async move {
                let location = location?;
                if fault.is_none_or(|fault| fault.effect == Effect::Done) {
                    inner.delete(&location).await?;
                }
                answer(fault.map_or(Answer::Success, |fault| fault.answer), &location)?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

fn answer(answer: Answer, key: &Path) -> Result<()> {
    let (path, source) = (key.to_string(), format!("injected: {answer:?}"));
    let generic = |source| Err(Error::Generic { store: "FaultStore", source });
    match answer {
        Answer::Success => Ok(()),
        Answer::Unavailable | Answer::Throttled => generic(source.into()),
        Answer::TimedOut => generic(io::Error::new(io::ErrorKind::TimedOut, source).into()),
        Answer::Exists | Answer::Conflict => Err(Error::AlreadyExists { path, source: source.into() }),
        Answer::NoSuchUpload => Err(Error::NotFound { path, source: source.into() }),
        Answer::Denied => Err(Error::PermissionDenied { path, source: source.into() }),
        Answer::Panic => panic!("injected: a defect at {path}"),
    }
}

fn altered(payload: &PutPayload, change: impl FnOnce(&mut Vec<u8>)) -> PutPayload {
    let mut bytes: Vec<u8> = payload.iter().flat_map(|part| part.iter().copied()).collect();
    change(&mut bytes);
    Bytes::from(bytes).into()
}

/// Counts a put while it runs.
struct Running(Arc<Mutex<Record>>);

impl Running {
    fn new(record: &Arc<Mutex<Record>>) -> Self {
        let mut now = lock(record);
        now.puts_now += 1;
        now.puts_at_once_max = now.puts_at_once_max.max(now.puts_now);
        drop(now);
        Self(Arc::clone(record))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.0).puts_now -= 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
