//! Offsets that a stream lacks by its own settings.
//!
//! Owns: the rule. Does not own: recording what is missing (crate `writer`).

use async_nats::jetstream::stream::Config;
use common::queue::Omits;

/// Everything below it is every subject.
const ALL: &str = ">";

/// The offsets that a stream with these settings lacks without a loss.
pub(super) fn of(config: &Config) -> Option<Omits> {
    if is_partial_mirror(config) {
        return Some(Omits::OtherSubjects);
    }
    let kept = u64::try_from(config.max_messages_per_subject).ok();
    kept.filter(|kept| *kept > 0 && !config.discard_new_per_subject).map(Omits::Older)
}

/// A mirror has the numbers of its origin, also where it takes some of the origin's subjects alone.
fn is_partial_mirror(config: &Config) -> bool {
    let Some(origin) = &config.mirror else { return false };
    let takes = |subject: &str| !subject.is_empty() && subject != ALL;
    let transforms = &origin.subject_transforms;
    origin.filter_subject.as_deref().is_some_and(takes)
        || (!transforms.is_empty() && transforms.iter().all(|transform| takes(&transform.source)))
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::{Source, SubjectTransform};

    use super::*;

    fn mirror(filter: Option<&str>, transformed: &[&str]) -> Option<Omits> {
        let transform =
            |source: &&str| SubjectTransform { source: (*source).to_owned(), destination: "to.>".to_owned() };
        let origin = Source {
            filter_subject: filter.map(str::to_owned),
            subject_transforms: transformed.iter().map(transform).collect(),
            ..Source::default()
        };
        of(&Config { mirror: Some(origin), ..Config::default() })
    }

    #[test]
    fn a_mirror_of_some_subjects_lacks_the_others() {
        assert_eq!(mirror(None, &[]), None);
        assert_eq!(mirror(Some(">"), &[">"]), None);
        assert_eq!(mirror(Some("a.>"), &[]), Some(Omits::OtherSubjects));
        assert_eq!(mirror(None, &["a.>", "b"]), Some(Omits::OtherSubjects));
        assert_eq!(mirror(None, &["a.>", ">"]), None);
    }

    #[test]
    fn a_stream_forgets_older_messages_of_a_subject_unless_it_refuses_newer_ones() {
        let config = Config { max_messages_per_subject: 3, ..Config::default() };
        assert_eq!(of(&config), Some(Omits::Older(3)));
        assert_eq!(of(&Config { discard_new_per_subject: true, ..config }), None);
        assert_eq!(of(&Config { max_messages_per_subject: -1, ..Config::default() }), None);
    }
}
