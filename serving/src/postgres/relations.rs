//! `pg_class` and `pg_attribute` as clients here need them.
//!
//! Owns: the types of columns, which are those of rows and of `information_schema`; which tables are found without a schema.
//! Does not own: the other contents of both tables, and the numbers of tables (datafusion-pg-catalog).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type};
use arrow_array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, SchemaRef};
use datafusion::arrow::compute::{cast, concat_batches, take};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, Volatility};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable};
use futures::TryStreamExt;
use lake::query::ListedTable;
use pgwire::api::Type;
use postgres_types::Kind;

use super::rows::pg_type;
use super::tables::{SEARCHED, Visible};

const CLASS: &str = "pg_class";
const ATTRIBUTE: &str = "pg_attribute";

/// What the crate has of `pg_catalog`.
pub(super) type Given = PgCatalogSchemaProvider<Visible, EmptyContextProvider>;

/// Both tables of one connection.
pub(super) struct Relations {
    given: Arc<Given>,
    visible: Visible,
    types: Arc<PgCatalogStaticTables>,
    searched: Searched,
}

/// The tables that were read from `pg_class`, by number: true for those that are found without a schema. A client has numbers from
/// there alone.
#[derive(Clone, Debug, Default)]
struct Searched(Arc<Mutex<HashMap<i32, bool>>>);

/// The schema and the name of a table.
type Name = (String, String);

impl Relations {
    pub(super) fn new(given: Arc<Given>, visible: Visible, types: Arc<PgCatalogStaticTables>) -> Arc<Self> {
        Arc::new(Self { given, visible, types, searched: Searched::default() })
    }

    /// The table of this name, if it is one of both.
    ///
    /// # Errors
    /// The crate has no such table.
    pub(super) fn table(self: &Arc<Self>, name: &str) -> Result<Option<PgCatalogTable>> {
        if ![CLASS, ATTRIBUTE].contains(&name) {
            return Ok(None);
        }
        let (given, relations) = (self.given(name)?, Arc::clone(self));
        Ok(Some(PgCatalogTable::Dynamic(Arc::new(Mended { given, relations, is_class: name == CLASS }))))
    }

    /// `pg_table_is_visible`.
    pub(super) fn is_visible(&self) -> Arc<ScalarUDF> {
        let searched = self.searched.clone();
        let function = move |arguments: &[ColumnarValue]| {
            let numbers = ColumnarValue::values_to_arrays(arguments)?;
            let numbers = cast(&numbers[0], &DataType::Int32)?;
            Ok(ColumnarValue::Array(Arc::new(searched.of(numbers.as_primitive()))))
        };
        let signature = Signature::uniform(1, vec![DataType::Int32, DataType::Int64], Volatility::Stable);
        let name = "pg_table_is_visible";
        Arc::new(SimpleScalarUDF::new_with_signature(name, signature, DataType::Boolean, Arc::new(function)).into())
    }

    fn given(&self, name: &str) -> Result<Arc<dyn PartitionStream>> {
        match self.given.build_table_by_name(name)? {
            Some(PgCatalogTable::Dynamic(given)) => Ok(given),
            _ => Err(DataFusionError::Internal(format!("there is no {name}"))),
        }
    }

    /// The tables by their numbers, from a batch of `pg_class`.
    async fn named(&self, classes: &RecordBatch, context: Arc<TaskContext>) -> Result<HashMap<i32, Name>> {
        let namespaces = whole(&self.given("pg_namespace")?, context).await?;
        let (numbers, names) = (numbers(&namespaces, "oid")?, texts(&namespaces, "nspname")?);
        let schemas: HashMap<i32, String> = numbers.into_iter().zip(names).collect();
        let schema = |number: i32| schemas.get(&number).cloned().unwrap_or_default();
        let schemas = self::numbers(classes, "relnamespace")?.into_iter().map(schema);
        let named = schemas.zip(texts(classes, "relname")?);
        Ok(self::numbers(classes, "oid")?.into_iter().zip(named).collect())
    }

    async fn class(&self, given: RecordBatch, context: Arc<TaskContext>) -> Result<RecordBatch> {
        self.searched.learn(&self.named(&given, context).await?);
        Ok(given)
    }

    async fn attribute(&self, given: RecordBatch, context: Arc<TaskContext>) -> Result<RecordBatch> {
        let classes = whole(&self.given(CLASS)?, Arc::clone(&context)).await?;
        let named = self.named(&classes, context).await?;
        self.searched.learn(&named);
        let tables = self.visible.tables().await?;
        let is_of = |table: &&ListedTable, (schema, name): &Name| table.schema == schema && table.name == *name;
        let table = |name: &Name| tables.iter().find(|table| is_of(table, name));
        let tables: HashMap<i32, &ListedTable> =
            named.iter().filter_map(|(number, name)| Some((*number, table(name)?))).collect();
        let places = column(&given, "attnum")?.as_primitive::<Int16Type>();
        let field = |(number, place): (i32, &i16)| {
            let place = usize::try_from(*place).ok()?.checked_sub(1)?;
            Some(tables.get(&number)?.columns.fields().get(place)?.as_ref())
        };
        let fields: Vec<_> = numbers(&given, "attrelid")?.into_iter().zip(places.values()).map(field).collect();
        self.typed(&given, &fields)
    }

    /// The batch of `pg_attribute` with the types of these fields, one for each row.
    fn typed(&self, given: &RecordBatch, fields: &[Option<&Field>]) -> Result<RecordBatch> {
        let types = concat_batches(&self.types.pg_type.schema(), self.types.pg_type.data())?;
        let places: HashMap<i32, u32> = numbers(&types, "oid")?.into_iter().zip(0..).collect();
        let typed: Vec<Type> = fields.iter().map(|field| type_of(*field)).collect();
        let rows: UInt32Array = typed.iter().map(|known| places.get(&(known.oid() as i32)).copied()).collect();
        let of_types = |name: &str| Ok::<_, DataFusionError>(take(column(&types, name)?, &rows, None)?);
        let of_int32 = |of: &dyn Fn(&Type, Option<&Field>) -> i32| -> ArrayRef {
            Arc::new(typed.iter().zip(fields).map(|(known, field)| Some(of(known, *field))).collect::<Int32Array>())
        };
        let mended = [
            ("atttypid", of_types("oid")?),
            ("attlen", of_types("typlen")?),
            ("attbyval", of_types("typbyval")?),
            ("attalign", of_types("typalign")?),
            ("attstorage", of_types("typstorage")?),
            ("attndims", of_int32(&|known, _| i32::from(matches!(known.kind(), Kind::Array(_))))),
            ("atttypmod", of_int32(&|_, field| modifier(field))),
        ];
        let (schema, mut columns) = (given.schema(), given.columns().to_vec());
        for (name, values) in mended {
            let index = schema.index_of(name)?;
            columns[index] = cast(&values, schema.field(index).data_type())?;
        }
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

impl std::fmt::Debug for Relations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relations").finish_non_exhaustive()
    }
}

impl Searched {
    fn learn(&self, named: &HashMap<i32, Name>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = named.iter().map(|(number, (schema, _))| (*number, SEARCHED.contains(&schema.as_str()))).collect();
    }

    /// Null for a number of no table.
    fn of(&self, numbers: &Int32Array) -> BooleanArray {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().map(|number| known.get(&number?).copied()).collect()
    }
}

/// One of both tables.
#[derive(Debug)]
struct Mended {
    given: Arc<dyn PartitionStream>,
    relations: Arc<Relations>,
    is_class: bool,
}

impl PartitionStream for Mended {
    fn schema(&self) -> &SchemaRef {
        self.given.schema()
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (given, relations, is_class) = (Arc::clone(&self.given), Arc::clone(&self.relations), self.is_class);
        let batch = async move {
            let batch = whole(&given, Arc::clone(&context)).await?;
            match is_class {
                true => relations.class(batch, context).await,
                false => relations.attribute(batch, context).await,
            }
        };
        let schema = Arc::clone(self.given.schema());
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(batch)))
    }
}

async fn whole(table: &Arc<dyn PartitionStream>, context: Arc<TaskContext>) -> Result<RecordBatch> {
    let batches: Vec<RecordBatch> = table.execute(context).try_collect().await?;
    Ok(concat_batches(table.schema(), &batches)?)
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("there is no column {name}")))
}

fn numbers(batch: &RecordBatch, name: &str) -> Result<Vec<i32>> {
    Ok(cast(column(batch, name)?, &DataType::Int32)?.as_primitive::<Int32Type>().values().to_vec())
}

fn texts(batch: &RecordBatch, name: &str) -> Result<Vec<String>> {
    let texts = cast(column(batch, name)?, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// The type of a column; of one that is gone meanwhile, `unknown`.
fn type_of(field: Option<&Field>) -> Type {
    field.and_then(|field| pg_type(field.data_type()).ok()).unwrap_or(Type::UNKNOWN)
}

/// Precision and scale of a `numeric` in the form of PostgreSQL; -1 for none.
fn modifier(field: Option<&Field>) -> i32 {
    match field.map(Field::data_type) {
        Some(DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)) if *scale >= 0 => {
            ((i32::from(*precision) << 16) | i32::from(*scale)) + 4
        }
        _ => -1,
    }
}
