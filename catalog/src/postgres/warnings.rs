//! Capturing the warnings of PostgreSQL.
//!
//! Owns: collecting the server's warnings while a statement runs. Does not own: the meaning of a warning.
//!
//! A COMMIT whose wait for a synchronous standby is cancelled answers with success and a warning: it is committed on
//! this server, perhaps not on the standby. sqlx passes warnings to `tracing` only. So the future of the statement runs
//! under a dispatcher that notes warnings and passes everything on to the previous dispatcher. A filter that is
//! compiled in may leave events out, so each server is tested when it is connected.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::LazyLock;

use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

/// The `tracing` target of sqlx for the server's messages.
const NOTICES: &str = "sqlx::postgres::notice";

/// One for the whole program: each new dispatcher makes all call sites evaluate their interest again.
static LISTENER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Listener));

thread_local! {
    /// Set while a future is polled here.
    static HEARING: RefCell<Option<Hearing>> = const { RefCell::new(None) };
}

/// The warnings of one poll, and the dispatcher that gets everything.
struct Hearing {
    outer: Dispatch,
    warnings: Vec<String>,
    /// Warnings of the server are kept from the others.
    is_alone: bool,
}

/// Runs `work`, and returns the server's warnings that arrived meanwhile.
pub(super) async fn hear<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    listen(work, false).await
}

/// The same for warnings that concern nobody else: they are not logged.
pub(super) async fn hear_alone<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    listen(work, true).await
}

async fn listen<T>(work: impl Future<Output = T>, is_alone: bool) -> (T, Vec<String>) {
    let mut work = pin!(work);
    let mut warnings = Vec::new();
    let output = poll_fn(|context| {
        let hearing = Hearing { outer: others(), warnings: Vec::new(), is_alone };
        let before = HEARING.replace(Some(hearing));
        let polled = dispatcher::with_default(&LISTENER, || work.as_mut().poll(context));
        let heard = HEARING.replace(before).map(|hearing| hearing.warnings);
        warnings.extend(heard.unwrap_or_default());
        polled
    })
    .await;
    (output, warnings)
}

/// The current dispatcher; inside another [`hear`], the one outside it.
fn others() -> Dispatch {
    let now = dispatcher::get_default(Dispatch::clone);
    if now.is::<Listener>() { Listener::outer() } else { now }
}

/// Notes warnings of the server, and passes everything on to the outer dispatcher.
struct Listener;

impl Listener {
    fn is_warning(metadata: &Metadata<'_>) -> bool {
        metadata.target() == NOTICES && *metadata.level() <= Level::WARN
    }

    /// The outer dispatcher; none outside [`hear`].
    fn outer() -> Dispatch {
        HEARING.with_borrow(|hearing| hearing.as_ref().map_or_else(Dispatch::none, |hearing| hearing.outer.clone()))
    }
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Events that only the outer dispatcher wants are checked each time; unwanted ones stay free of cost.
        if Self::is_warning(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::is_warning(metadata) || Self::outer().enabled(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        if Self::is_warning(event.metadata()) {
            let mut text = Text::default();
            event.record(&mut text);
            let is_ours = HEARING.with_borrow_mut(|hearing| {
                let Some(hearing) = hearing else { return false };
                hearing.warnings.push(text.0);
                hearing.is_alone
            });
            if is_ours {
                return;
            }
        }
        let outer = Self::outer();
        if outer.enabled(event.metadata()) {
            outer.event(event);
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Self::outer().new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        Self::outer().record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        Self::outer().record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        Self::outer().enter(span);
    }

    fn exit(&self, span: &Id) {
        Self::outer().exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        Self::outer().clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        Self::outer().try_close(id)
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn warnings_of_the_server_are_heard_wherever_they_come_from_and_nothing_else_is() {
        let (output, warnings) = hear(async {
            tracing::warn!(target: "sqlx::postgres::notice", "one");
            tokio::task::yield_now().await;
            tracing::info!(target: "sqlx::postgres::notice", "a notice");
            tracing::warn!("of somebody else");
            let (_, inner) = hear(async { tracing::warn!(target: "sqlx::postgres::notice", "inside") }).await;
            tracing::warn!(target: "sqlx::postgres::notice", "two");
            inner
        })
        .await;
        assert_eq!(warnings, ["one", "two"]);
        assert_eq!(output, ["inside"]);
        tracing::warn!(target: "sqlx::postgres::notice", "to nobody");
        assert!(hear(async {}).await.1.is_empty());
    }

    #[tokio::test]
    async fn a_question_of_ours_is_logged_by_nobody_and_all_else_is() {
        /// Counts events, and keeps nothing of them.
        struct Count(std::sync::Arc<std::sync::atomic::AtomicUsize>);
        impl Subscriber for Count {
            fn enabled(&self, _: &Metadata<'_>) -> bool {
                true
            }
            fn event(&self, _: &Event<'_>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            fn new_span(&self, _: &Attributes<'_>) -> Id {
                Id::from_u64(1)
            }
            fn record(&self, _: &Id, _: &Record<'_>) {}
            fn record_follows_from(&self, _: &Id, _: &Id) {}
            fn enter(&self, _: &Id) {}
            fn exit(&self, _: &Id) {}
        }
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let _others = dispatcher::set_default(&Dispatch::new(Count(seen.clone())));
        let ((), warnings) = hear_alone(async {
            tracing::warn!(target: "sqlx::postgres::notice", "the question");
            tracing::warn!("of somebody else");
        })
        .await;
        assert_eq!(warnings, ["the question"]);
        assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 1, "that of somebody else");
        hear(async { tracing::warn!(target: "sqlx::postgres::notice", "of a commit") }).await;
        assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 2);
    }
}
