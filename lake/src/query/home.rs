//! The runtime on which connections live.
//!
//! Owns: doing what needs a connection as if on that runtime. Queries may run on threads of their own, which may be busy for
//! long: a connection made there, which others share, would be driven by nobody meanwhile.
//! Does not own: threads (the caller's), connections to stores over HTTP, which find their runtime themselves (`storage`).

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A runtime, or none where the session was opened outside of any.
#[derive(Clone, Debug)]
pub(super) struct Home(Option<Handle>);

/// A future whose sockets, timers and tasks belong to a home. It is polled wherever its caller is.
pub(super) struct AtHome<F> {
    home: Option<Handle>,
    /// `None` only while it is dropped.
    future: Option<Pin<Box<F>>>,
}

impl Home {
    /// The present runtime.
    pub(super) fn here() -> Self {
        Self(Handle::try_current().ok())
    }

    /// The future, at home.
    pub(super) fn run<F: Future>(&self, future: F) -> AtHome<F> {
        AtHome { home: self.0.clone(), future: Some(Box::pin(future)) }
    }
}

impl<F: Future> Future for AtHome<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _home = this.home.as_ref().map(Handle::enter);
        this.future.as_mut().expect("it is not dropped yet").as_mut().poll(context)
    }
}

impl<F> Drop for AtHome<F> {
    fn drop(&mut self) {
        let _home = self.home.as_ref().map(Handle::enter);
        // A connection goes back to its pool by a task.
        self.future = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
    }

    #[test]
    fn tasks_belong_to_the_home_whoever_polls() {
        let (homes, other) = (runtime(), runtime());
        let home = homes.block_on(async { Home::here() });
        let id = homes.handle().id();
        let spawned = async || tokio::spawn(async { Handle::current().id() }).await.expect("it ends");
        assert_eq!(other.block_on(home.run(spawned())), id);
        assert_ne!(other.block_on(spawned()), id);
        struct SpawnsWhenDropped(std::sync::mpsc::SyncSender<tokio::runtime::Id>);
        impl Drop for SpawnsWhenDropped {
            fn drop(&mut self) {
                self.0.try_send(Handle::current().id()).expect("room for one");
            }
        }
        let (sender, dropped) = std::sync::mpsc::sync_channel(1);
        let held = SpawnsWhenDropped(sender);
        drop(home.run(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        assert_eq!(dropped.recv().expect("dropped"), id);
    }
}
