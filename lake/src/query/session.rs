//! What every query of a session shares: functions, rules, and bounds.
//!
//! Owns: the settings of DataFusion, the memory and the temporary files that queries may take together.
//! Does not own: tables, which each query has of its own (`schemas`).

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::logical_expr::AggregateUDF;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::prelude::{SessionConfig, SessionContext};
use tempfile::TempDir;

use super::absent::NullWithoutRow;
use super::arguments::MeantArguments;
use super::bounded::{BoundSizes, BoundUnnest, Bounds, PauseJoins};
use super::chains::FlattenFilters;
use super::checked::CheckNumbers;
use super::contained::ContainScans;
use super::correlated::OwnRows;
use super::escapes::Escapes;
use super::exact_average::ExactAverage;
use super::exact_sum::ExactSum;
use super::extremes::Extreme;
use super::frames::FramesOfValues;
use super::frugal::{self, Budget, FrugalPlanner};
use super::membership::ThirdValue;
use super::merged::MergingJoins;
use super::mixed::MixedNumbers;
use super::multisets::CountRows;
use super::operators::Operators;
use super::regexes::KeptRegexes;
use super::similar::StandardPatterns;
use super::spans::SpansByLength;
use super::times::{Microseconds, TimesInMicroseconds};
use super::{
    CATALOG, QueryOptions, TOPICS_SCHEMA, binary, json, lists, moving, percentile, plain, pushdown, rules, times,
};

/// Bytes of temporary files of all running queries: more than that is a mistake in a query sooner than a need.
pub(super) const SPILL_BYTES_MAX: u64 = 100 << 30;

/// Footers of objects that a session keeps, in bytes: some ten thousand footers of ten columns and one row group.
const FOOTER_CACHE_BYTES: usize = 64 << 20;

/// The folder of a session's temporary files, which goes with the session; `None` where none can be made, which matters
/// only to a query that needs one.
pub(super) fn folder() -> Option<TempDir> {
    tempfile::Builder::new().prefix("siltstone-query-").tempdir().ok()
}

/// Memory up to the budget, and temporary files in the folder.
pub(super) fn runtime(options: QueryOptions, folder: Option<&TempDir>) -> Result<RuntimeEnv> {
    // A task that outlives its query holds DataFusion's own folder longer than the process has time to wait.
    let mode = match folder {
        Some(folder) => DiskManagerMode::Directories(vec![folder.path().to_owned()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let files = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(SPILL_BYTES_MAX);
    RuntimeEnvBuilder::new()
        .with_metadata_cache_limit(FOOTER_CACHE_BYTES)
        .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes_max)))
        .with_disk_manager_builder(files)
        .build()
}

/// The same with memory of its own, for one statement.
pub(super) fn with_own_memory(runtime: &RuntimeEnv, bytes: usize) -> RuntimeEnv {
    RuntimeEnv { memory_pool: Arc::new(FairSpillPool::new(bytes)), ..runtime.clone() }
}

/// The state that each query gets a copy of.
pub(super) fn template(options: QueryOptions, runtime: Arc<RuntimeEnv>) -> Result<SessionState> {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, TOPICS_SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    // Names are found without regard to case by `names`, which needs them as they were typed, and where.
    config.options_mut().sql_parser.enable_ident_normalization = false;
    config.options_mut().sql_parser.collect_spans = true;
    let config = exact(config);
    let cores = match options.parallelism {
        0 => config.target_partitions(),
        some => some,
    };
    let budget = Budget::of(&options);
    let config = frugal::generous(config, options.memory_bytes_max, cores);
    let bounds = Bounds::new(options.memory_bytes_max, config.target_partitions(), config.batch_size());
    let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime);
    let mut state = with_rules(builder, bounds)
        .with_physical_optimizer_rule(Arc::new(ContainScans))
        .with_physical_optimizer_rule(Arc::new(BoundUnnest(bounds)))
        .with_physical_optimizer_rule(Arc::new(PauseJoins))
        .with_query_planner(Arc::new(FrugalPlanner { budget, bounds }))
        .build();
    register_functions(&mut state)?;
    Ok(state)
}

/// Planners of expressions and rules by which results are exact.
fn with_rules(builder: SessionStateBuilder, bounds: Bounds) -> SessionStateBuilder {
    builder
        // Before those of DataFusion, so that they are asked first.
        .with_expr_planners(vec![Arc::new(Operators)])
        .with_default_features()
        .with_type_planner(Arc::new(Microseconds))
        .with_relation_planners(vec![Arc::new(MergingJoins)])
        .with_analyzer_rules(analyzer_rules(bounds))
        .with_optimizer_rules(rules::rules())
        .with_physical_optimizer_rules(pushdown::rules())
        .with_physical_optimizer_rule(Arc::new(FlattenFilters))
}

fn register_functions(state: &mut SessionState) -> Result<()> {
    let of_times = times::functions::functions().chain([times::parts::date_part()]);
    let others = of_times.chain(binary::functions()).chain([lists::null_within(), plain::plain_value()]);
    for function in json::functions().chain(others.map(Arc::new)) {
        state.register_udf(function)?;
    }
    for function in moving::functions() {
        state.register_udaf(Arc::new(function))?;
    }
    state.register_udaf(Arc::new(percentile::percentile_cont()))?;
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(ExactSum::new())))?;
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(ExactAverage::new())))?;
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(Extreme(Min::new()))))?;
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(Extreme(Max::new()))))?;
    Ok(())
}

/// A context in which arithmetic, aggregates, joins and JSON are as exact as in a [`QuerySession`](super::QuerySession), for
/// tables that [`Lake`](super::Lake) registers. Statements, tables and memory are the program's own: a literal with a point and more
/// than 15 digits is a double there, unless it is a text that is cast.
///
/// # Errors
/// When a function cannot be registered.
pub fn exact_context(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> Result<SessionContext> {
    let bounds = Bounds::new(QueryOptions::default().memory_bytes_max, config.target_partitions(), config.batch_size());
    let builder = SessionStateBuilder::new().with_config(exact(config)).with_runtime_env(runtime);
    let mut state = with_rules(builder, bounds).build();
    register_functions(&mut state)?;
    Ok(SessionContext::new_with_state(state))
}

/// Settings without which plans are not right.
fn exact(mut config: SessionConfig) -> SessionConfig {
    // A member of a struct that DataFusion 54 moves below a join may not be found there: the statement fails to plan.
    config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
    // Of `min(a), max(f(b))` the filter would know `a` alone, and leave out rows that hold the greatest `f(b)`.
    config.options_mut().optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // Without it now() and TIMESTAMP WITH TIME ZONE have no zone, and AT TIME ZONE takes them for local times.
    config.options_mut().execution.time_zone = Some("UTC".to_owned());
    config
}

fn analyzer_rules(bounds: Bounds) -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let mut rules = Analyzer::new().rules;
    let own: [Arc<dyn AnalyzerRule + Send + Sync>; 12] = [
        Arc::new(ThirdValue),
        Arc::new(OwnRows),
        Arc::new(NullWithoutRow),
        Arc::new(CountRows),
        Arc::new(StandardPatterns),
        Arc::new(Escapes),
        Arc::new(KeptRegexes),
        Arc::new(MeantArguments),
        Arc::new(FramesOfValues),
        Arc::new(TimesInMicroseconds),
        Arc::new(SpansByLength),
        Arc::new(MixedNumbers),
    ];
    rules.splice(0..0, own);
    rules.push(Arc::new(CheckNumbers));
    rules.push(Arc::new(BoundSizes(bounds)));
    rules
}
