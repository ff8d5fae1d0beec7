//! Agents in the test's process: real HTTP services behind proxies, on one queue and one catalog.

use std::sync::Arc;
use std::time::Duration;

use catalog::{AutoCreate, Contact, Ingester, MetadataStore};
use common::config::Settings;
use common::{Message, OwnerId, Queue, TopicPartition};
use lake::Storage;
use service::{Intake, IntakeLimits, Listener};
use support::proxy::{Mode, Proxy};
use uuid::Uuid;

use crate::http::{Api, ApiOptions, ApiParts};
use crate::producer::tests::faulty_queue::FaultyQueue;
use crate::producer::tests::{config, name};
use crate::{Producer, ProducerBuilder};

/// The queue and the catalog of all agents.
pub(super) struct Fleet {
    pub(super) queue: Arc<FaultyQueue>,
    pub(super) catalog: Arc<dyn MetadataStore>,
    pub(super) options: ApiOptions,
}

/// A running agent.
pub(super) struct Running {
    _intake: Intake,
    pub(super) proxy: Proxy,
    pub(super) ingester: Ingester,
}

impl Fleet {
    /// With the topic `orders` of so many partitions, and no agent.
    pub(super) async fn new(partition_count: u32) -> Self {
        let queue = Arc::new(FaultyQueue::new());
        let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
        catalog.create_topic(config("orders", partition_count)).await.expect("new topic");
        Self { queue, catalog, options: ApiOptions::default() }
    }

    /// Starts an agent, which is not registered.
    pub(super) async fn start(&self) -> Running {
        self.start_with(Settings::default()).await
    }

    /// Starts an agent with the certificate that the settings name.
    pub(super) async fn start_with(&self, settings: Settings) -> Running {
        let queue = Arc::clone(&self.queue) as Arc<dyn Queue>;
        let parts = parts(queue, Arc::clone(&self.catalog));
        let api = Api::open(parts, self.options).await.expect("queue and catalog answer");
        serve_with(settings, api.router()).await
    }

    /// Starts an agent of the group `default`.
    pub(super) async fn join(&self) -> Running {
        let agent = self.start().await;
        self.catalog.announce(&agent.ingester).await.expect("registered");
        agent
    }

    /// A producer that finds agents in the catalog. It repeats soon, and reads the list of agents only after failures.
    pub(super) fn producer(&self) -> ProducerBuilder {
        let day = Duration::from_secs(86_400);
        let builder = Producer::builder().catalog(Arc::clone(&self.catalog)).agent_refresh_interval(day);
        builder.retry_backoff(Duration::from_millis(1))
    }

    /// A producer that has the address of one agent.
    pub(super) fn producer_at(&self, agent: &Running) -> ProducerBuilder {
        Producer::builder().address(agent.url()).retry_backoff(Duration::from_millis(1))
    }

    pub(super) async fn stored(&self, partition: u32) -> Vec<Message> {
        let partition = TopicPartition::new(name("orders"), partition);
        // A queue in memory opens a topic with its first message.
        self.queue.read(&partition, 0, u64::MAX).await.unwrap_or_default()
    }

    pub(super) async fn payloads(&self, partition: u32) -> Vec<String> {
        let stored = self.stored(partition).await.into_iter();
        stored.map(|message| String::from_utf8(message.payload.to_vec()).expect("text")).collect()
    }
}

impl Running {
    pub(super) fn url(&self) -> String {
        self.ingester.contact.address.clone().expect("it has one")
    }

    /// Nothing reaches it any more, and connections end. Dropping it ends it as a kill would.
    pub(super) fn vanish(&self) {
        self.proxy.set(Mode::Refuse);
        self.proxy.cut();
    }
}

/// The parts of a service that creates no topics and hears of no commits.
pub(super) fn parts(queue: Arc<dyn Queue>, catalog: Arc<dyn MetadataStore>) -> ApiParts {
    ApiParts {
        queue,
        catalog,
        storage: Storage::memory(),
        hints: None,
        tail: None,
        is_queue_kept: true,
        cache: Default::default(),
        auto_create: AutoCreate::default(),
        queries: None,
    }
}

/// Serves any routes behind a proxy.
pub(super) async fn serve(router: axum::Router) -> Running {
    serve_with(Settings::default(), router).await
}

/// The same, with a certificate if the settings name one.
pub(super) async fn serve_with(settings: Settings, router: axum::Router) -> Running {
    let settings = Settings { ingest_addr: ([127, 0, 0, 1], 0).into(), ..settings };
    let listener = Listener::bind_ingest(&settings).await.expect("any port");
    let scheme = if listener.has_tls() { "https" } else { "http" };
    let intake = Intake::serve(listener, router, IntakeLimits::default());
    let proxy = Proxy::start(intake.addr()).await.expect("a proxy");
    let contact = Contact { address: Some(format!("{scheme}://{}", proxy.address())), ..Contact::default() };
    let (id, lease) = (OwnerId(Uuid::now_v7()), Duration::from_secs(3600));
    let ingester = Ingester { id, name: "test".to_owned(), contact, lease };
    Running { _intake: intake, proxy, ingester }
}
