//! A file of views that follows the catalog.
//!
//! Owns: when it is written anew: when the list of segments, or the columns of a topic, changed. Each time whole or not at all.
//! Does not own: the text (lake::duckdb).

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use catalog::{MetadataStore, TopicSnapshot, ViewRequest, ViewedTopics};
use common::{ErrorKind, TopicName};
use lake::duckdb::{DuckDbLocation, views_sql};
use service::Signals;
use tokio::time::sleep;

use crate::output::{self, UsageError};
use crate::whole_file::WholeFile;

/// Time between two looks at the catalog.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// The views of some topics, as they were written last.
struct Written {
    known: Vec<Arc<TopicSnapshot>>,
    text: Option<String>,
}

/// Writes the views of these topics, all where none is named, into `path` each time that they change, until a signal.
pub(super) async fn follow(
    catalog: &dyn MetadataStore,
    wanted: &[TopicName],
    location: &DuckDbLocation,
    path: &Path,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut written = Written { known: Vec::new(), text: None };
    let mut is_away = false;
    loop {
        match written.look(catalog, wanted, location, path).await {
            Ok(()) => is_away = false,
            // The file stays as it is, until the catalog answers again.
            Err(error) if written.text.is_some() && is_unavailable(&error) => {
                if !is_away {
                    output::note(&format!("the catalog does not answer; {} stays as it is: {error:#}", path.display()));
                }
                is_away = true;
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            biased;
            _ = signals.next() => return Ok(()),
            () = sleep(LOOK_EACH) => {}
        }
    }
}

fn is_unavailable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<catalog::CatalogError>().is_some_and(|error| error.kind() == ErrorKind::Unavailable)
}

impl Written {
    async fn look(
        &mut self,
        catalog: &dyn MetadataStore,
        wanted: &[TopicName],
        location: &DuckDbLocation,
        path: &Path,
    ) -> anyhow::Result<()> {
        let topics = if wanted.is_empty() { ViewedTopics::All } else { ViewedTopics::These(wanted.to_vec()) };
        let request = ViewRequest { topics, known: self.known.clone(), list_topics: true, ..ViewRequest::default() };
        let view = catalog.view(&request).await?;
        let is_same = |one: &Arc<TopicSnapshot>, other: &Arc<TopicSnapshot>| Arc::ptr_eq(one, other);
        let is_known = self.known.len() == view.snapshots.len();
        if self.text.is_some() && is_known && self.known.iter().zip(&view.snapshots).all(|(a, b)| is_same(a, b)) {
            return Ok(());
        }
        self.known = view.snapshots;
        let topics: Vec<TopicName> = view.topics.into_iter().map(|topic| topic.name).collect();
        let snapshots: Vec<TopicSnapshot> = self.known.iter().map(|known| TopicSnapshot::clone(known)).collect();
        let text = views_sql(&snapshots, &topics, location).map_err(|same| UsageError::new(same.to_string()))?;
        if self.text.as_ref() != Some(&text) {
            replace(path, &text)?;
            let objects: usize = snapshots.iter().map(|snapshot| snapshot.objects.len()).sum();
            output::note(&format!("{}: {} topics, {objects} objects", path.display(), snapshots.len()));
            self.text = Some(text);
        }
        Ok(())
    }
}

/// Puts the text in the place of the file, whole.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = WholeFile::begin(path).and_then(|(mut file, whole)| {
        file.write_all(text.as_bytes())?;
        // A pipe cannot be synced, and need not be.
        file.sync_all()
            .or_else(|error| if error.kind() == io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) })?;
        whole.finish()
    });
    written.with_context(|| format!("--watch {}: cannot be written", path.display()))
}
