//! One suite for every catalog: what the contract says, shown against SQLite in a file and in memory, against a
//! real PostgreSQL with and without PgBouncer, and against the model of the catalog that simulations run on.
//!
//! Owns: the list of cases and their backends. Does not own: the cases (`conformance/`).

mod conformance {
    pub(crate) mod agents;
    pub(crate) mod aging;
    pub(crate) mod backend;
    pub(crate) mod commits;
    pub(crate) mod consumers;
    mod databases;
    mod differential;
    mod door;
    pub(crate) mod fixture;
    pub(crate) mod folding;
    pub(crate) mod groups;
    pub(crate) mod iceberg;
    pub(crate) mod intents;
    pub(crate) mod janitor;
    mod lanes;
    mod lost_replacements;
    mod lost_replies;
    mod migrations;
    mod operations;
    pub(crate) mod ownership;
    mod pooler;
    mod postgres_faults;
    mod postgres_tls;
    pub(crate) mod publishing;
    pub(crate) mod races;
    pub(crate) mod read_ahead;
    mod reading;
    mod reading_files;
    pub(crate) mod replacement_intents;
    pub(crate) mod replacing;
    pub(crate) mod retention;
    pub(crate) mod search_paths;
    pub(crate) mod segments;
    mod size;
    mod sqlite_faults;
    mod sqlite_kills;
    mod sqlite_places;
    pub(crate) mod storms;
    pub(crate) mod tables;
    mod thinning;
    pub(crate) mod together;
    pub(crate) mod tokens;
    pub(crate) mod topics;
    pub(crate) mod view;
}

use conformance::backend::Backend;

/// Every case as a test of the backend that `$open` opens.
macro_rules! cases {
    ($open:ident: $($module:ident::$case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let backend = crate::Backend::$open().await;
                crate::conformance::$module::$case(backend.store()).await;
                backend.store().close().await;
            }
        )*
    };
}

macro_rules! on_every_backend {
    ($($cases:tt)*) => {
        mod sqlite_file {
            cases! { sqlite_file: $($cases)* }
        }
        mod sqlite_memory {
            cases! { sqlite_memory: $($cases)* }
        }
        mod postgres {
            cases! { postgres: $($cases)* }
        }
        mod postgres_behind_a_pooler {
            cases! { postgres_behind_a_pooler: $($cases)* }
        }
        mod model {
            cases! { model: $($cases)* }
        }
        mod model_session {
            cases! { model_session: $($cases)* }
        }
    };
}

on_every_backend! {
    tables::each_topic_is_two_tables_whose_columns_follow_its_options,
    tables::live_objects_have_the_address_of_their_store,
    tables::the_place_of_the_objects_is_that_of_live_ones,
    iceberg::a_table_is_behind_until_it_is_published,
    iceberg::a_publication_needs_its_intents_live_objects_and_the_newest_version,
    iceberg::a_publication_of_a_state_that_the_catalog_never_had_is_refused,
    iceberg::nothing_that_a_kept_snapshot_has_is_due,
    iceberg::a_table_that_is_not_published_any_more_keeps_nothing,
    iceberg::the_state_of_a_table_has_what_came_and_went_and_its_days,
    topics::test_create_and_get_topic,
    topics::test_duplicate_topic_fails,
    topics::topics_are_listed_by_name,
    topics::an_invalid_definition_is_refused,
    topics::changed_options_raise_the_schema_version_and_equal_ones_do_not,
    topics::a_change_of_options_leaves_the_retention_alone,
    topics::of_two_changes_of_one_version_the_second_is_refused,
    topics::a_deleted_topic_takes_everything_along_and_may_be_made_again,
    topics::nothing_meant_for_a_deleted_topic_fits_one_made_again,
    topics::names_with_quotes_unicode_and_percent_are_only_names,
    topics::an_absent_topic_is_told_apart_from_an_empty_one,
    topics::a_topic_of_thousands_of_partitions_is_created_at_once,
    topics::a_watermark_moves_forward_only_while_nobody_owns_the_partition,
    topics::the_worked_example_answers_every_question,
    segments::test_find_segment_for_offset,
    read_ahead::the_next_segments_of_a_place_are_found,
    read_ahead::a_place_in_an_earlier_history_leads_to_the_next_one,
    read_ahead::a_time_leads_to_the_first_segment_that_reaches_it,
    segments::a_segment_reads_back_as_it_was_added,
    segments::a_range_key_or_id_that_is_listed_is_refused,
    segments::quarantine_is_listed_beside_data_but_not_found_by_offset,
    segments::segments_before_an_offset_leave_the_list_and_offsets_stay_committed,
    segments::a_snapshot_holds_topic_partitions_and_segments_in_order,
    segments::offsets_above_the_largest_are_refused,
    segments::the_exceptions_of_a_range_are_its_gaps_and_quarantine,
    segments::exceptions_are_of_one_incarnation_and_know_what_retention_took,
    view::a_view_is_the_same_whatever_is_known,
    view::a_known_snapshot_of_a_lost_history_changes_no_answer,
    view::a_view_has_what_was_asked_for_and_nothing_else,
    view::a_view_has_the_groups_with_their_topics_and_lag,
    tokens::a_token_is_listed_as_it_was_created,
    tokens::a_name_belongs_to_one_token_until_that_is_revoked,
    tokens::a_token_that_is_of_no_use_is_refused,
    consumers::test_consumer_offset_commit,
    consumers::offsets_of_a_group_are_listed_by_topic_and_partition,
    consumers::a_deleted_group_takes_its_offsets_along,
    consumers::an_offset_of_an_unknown_partition_is_refused_and_makes_no_group,
    agents::ingesters_and_writers_are_listed_with_group_and_address,
    agents::an_ingester_is_no_writer,
    agents::an_address_that_cannot_be_stored_is_refused,
    ownership::every_takeover_raises_the_epoch,
    ownership::a_live_owner_is_not_robbed_and_an_expired_one_is,
    ownership::an_owner_takes_its_own_partition_again_at_a_new_epoch,
    ownership::outcomes_come_in_the_order_asked_for,
    ownership::an_unknown_partition_or_agent_acquires_nothing,
    ownership::release_gives_back_only_what_is_still_held,
    ownership::a_halted_partition_takes_no_owner_and_no_commit,
    ownership::a_removed_agent_releases_everything,
    ownership::takeovers_are_counted_while_the_watermark_stands_still,
    ownership::a_suspect_is_noted_until_it_is_cleared_or_passed,
    ownership::a_view_shows_who_is_there_and_who_owns_what,
    ownership::a_halted_partition_resumes_in_a_new_incarnation,
    janitor::an_object_is_due_after_the_hold_and_once_more_later,
    janitor::an_object_of_a_kept_snapshot_is_never_due,
    janitor::a_listed_or_pending_object_is_never_due,
            janitor::a_listed_object_is_never_due_even_when_doomed,
    janitor::replays_are_marked_once_per_record,
    intents::an_intent_needs_the_ownership_it_names,
    intents::a_repeated_intent_is_harmless,
    intents::a_key_is_never_used_twice,
    intents::each_intent_of_a_group_has_its_own_answer,
    together::requests_that_share_an_object_are_committed_as_one,
    together::thousands_of_partitions_share_an_object,
    together::a_fenced_partition_takes_the_others_back,
    together::a_shared_object_needs_its_intent,
    together::requests_that_do_not_belong_together_are_refused,
    together::a_takeover_dooms_the_shared_objects_of_an_owner_that_expired,
    commits::a_commit_moves_the_watermark_and_lists_its_segments,
    commits::a_stale_epoch_is_fenced,
    commits::another_owner_is_fenced,
    commits::another_watermark_is_fenced,
    commits::a_missing_intent_refuses_the_commit_and_leaves_no_trace,
    commits::an_abandoned_intent_refuses_the_commit,
    commits::a_takeover_dooms_the_intents_of_older_epochs,
    commits::a_deleted_topic_dooms_the_intents_of_its_partitions,
    commits::the_same_request_again_is_done_and_changes_nothing,
    commits::a_committed_request_is_done_even_after_a_takeover_or_retention,
    commits::another_request_with_a_committed_base_is_refused,
    commits::a_refused_request_does_not_hold_up_the_others,
    commits::two_requests_of_one_partition_chain_in_one_group,
    commits::a_refused_request_refuses_later_ones_of_its_partition,
    commits::a_repeated_request_within_one_group_is_committed_once,
    commits::gaps_and_quarantine_are_committed_without_data,
    commits::data_and_quarantine_of_one_range_are_committed_together,
    commits::a_malformed_request_is_not_done_and_spoils_no_other,
    commits::resolve_tells_what_became_of_a_commit,
    commits::thousands_of_requests_are_committed_in_one_group,
    replacing::a_replacement_takes_the_place_of_objects_of_several_partitions,
    replacing::replaced_objects_are_retired_and_handed_to_the_janitor,
    replacing::an_object_of_several_partitions_is_doomed_for_none,
    replacing::segments_that_are_no_neighbours_stay_apart,
    replacing::quarantine_is_replaced_by_itself,
    replacing::a_replacement_that_does_not_fit_is_refused_and_changes_nothing,
    replacement_intents::a_replacement_needs_its_intent,
    replacement_intents::the_intent_of_a_replacement_needs_a_topic_and_a_new_key,
    replacing::the_same_replacement_again_is_done_and_changes_nothing,
    replacing::of_two_replacements_with_a_common_input_the_second_finds_it_gone,
    replacing::what_retention_took_meanwhile_is_not_replaced,
    replacement_intents::intents_of_silent_owners_are_doomed_and_those_of_live_ones_stay,
    replacement_intents::a_deleted_topic_dooms_intents_and_retires_everything,
    retention::an_object_stays_while_any_of_its_rows_stays,
    retention::retention_of_both_kinds_is_one_snapshot,
    retention::ranges_of_unlike_length_go_together,
    retention::retention_leaves_earlier_incarnations_alone,
    retention::every_change_of_the_lists_is_a_snapshot_and_nothing_else_is,
    retention::statistics_are_kept_of_the_time_at_level_0_and_of_everything_above,
    retention::a_retired_object_is_forgotten_when_it_is_deleted,
    retention::offsets_of_rows_are_kept_where_the_range_says_more,
    retention::names_that_differ_in_case_alone_are_one_name,
    aging::what_is_older_than_the_retention_goes_in_one_snapshot,
    aging::an_old_object_behind_a_young_one_stays,
    aging::an_object_of_several_partitions_goes_when_all_its_segments_may_go,
    aging::earlier_incarnations_go_first,
    aging::rows_without_a_time_count_from_their_listing,
    aging::the_age_counts_from_the_clock_of_the_database,
    folding::commits_under_live_segments_of_their_own_stay_apart,
    folding::commits_under_one_segment_become_a_run,
    folding::the_newest_commit_stays_as_it_is,
    folding::runs_grow_and_end_where_live_segments_end,
    folding::a_run_has_the_same_segments_of_both_kinds,
    folding::what_retention_took_folds_by_itself,
    folding::a_partition_goes_on_after_its_history_was_folded,
    folding::snapshots_of_the_last_minute_are_kept_unless_the_hold_is_shorter,
    consumers::an_offset_counts_in_the_history_that_it_was_read_in,
    groups::a_member_joins_claims_commits_and_leaves,
    groups::a_partition_has_one_claim_in_a_group,
    groups::whoever_lost_a_partition_commits_nothing_more_for_it,
    groups::a_claim_of_a_deleted_topic_commits_nothing_for_one_made_again,
    groups::offsets_are_reset_while_nobody_reads,
    groups::an_earlier_place_counts_only_if_it_names_the_one_that_it_replaces,
    groups::a_group_lists_the_topics_that_its_members_read,
    groups::claims_at_the_same_time_give_each_partition_to_one,
    races::of_two_owners_that_commit_at_once_exactly_one_wins,
    races::of_two_commits_of_one_owner_at_the_same_base_exactly_one_wins,
    races::of_many_agents_that_acquire_at_once_one_gets_each_partition,
    races::groups_over_the_same_partitions_in_opposite_order_all_end,
    races::a_takeover_at_any_moment_leaves_one_chain,
    races::no_epoch_is_given_twice_while_a_topic_is_deleted_and_made_again,
    races::of_two_replacements_at_once_with_a_common_input_exactly_one_is_done,
    races::replacement_retention_commits_and_folding_at_once_leave_one_whole_list,
    races::snapshots_become_visible_in_the_order_of_their_numbers,
}

/// Not behind a pooler: there a commit may take longer than the leases of this case, and nobody would make progress.
mod storm {
    mod sqlite_file {
        cases! { sqlite_file: storms::a_storm_of_takeovers_makes_progress_and_one_chain, }
    }
    mod sqlite_memory {
        cases! { sqlite_memory: storms::a_storm_of_takeovers_makes_progress_and_one_chain, }
    }
    mod postgres {
        cases! { postgres: storms::a_storm_of_takeovers_makes_progress_and_one_chain, }
    }
    mod model {
        cases! { model: storms::a_storm_of_takeovers_makes_progress_and_one_chain, }
    }
    mod model_session {
        cases! { model_session: storms::a_storm_of_takeovers_makes_progress_and_one_chain, }
    }
}
