//! Objects whose columns have other names than those of the table, or are not those of the table.
//!
//! Owns: the live objects of a table, their incarnations, and the reading of an object: a column of the table is that of its
//! field id, whatever its name in the object. This covers columns that were renamed, or dropped and declared again, and
//! layout 1 of version 0.1.0: `_partition` becomes `_partition_id`, `_incarnation` comes from the segment, and headers may
//! be doubled (`doubled_headers`). Does not own: the ids (`schema`), scanning (`provider`).

mod doubled_headers;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

use self::doubled_headers::with_unique_keys;
use crate::schema::{HEADERS, INCARNATION, field_id};
use catalog::{FileId, ObjectInfo, SegmentKind, TopicSnapshot};

/// A live object of a table.
#[derive(Clone, Debug)]
pub(super) struct LakeObject {
    pub(super) info: Arc<ObjectInfo>,
    /// Smallest incarnation of its rows.
    pub(super) min_incarnation: u32,
    /// Largest incarnation of its rows.
    pub(super) max_incarnation: u32,
}

impl LakeObject {
    /// The objects of a kind that have rows, in the order of their first segments.
    pub(super) fn all(snapshot: &TopicSnapshot, kind: SegmentKind) -> Vec<Self> {
        let mut objects: Vec<Self> = Vec::new();
        let mut places: HashMap<FileId, usize> = HashMap::new();
        let wanted = snapshot.segments.iter().filter(|s| s.kind == kind && s.object.record_count > 0);
        for segment in wanted {
            let number = segment.incarnation.0;
            let place = *places.entry(segment.object.file_id).or_insert(objects.len());
            match objects.get_mut(place) {
                Some(object) => {
                    object.min_incarnation = object.min_incarnation.min(number);
                    object.max_incarnation = object.max_incarnation.max(number);
                }
                None => objects.push(Self {
                    info: Arc::clone(&segment.object),
                    min_incarnation: number,
                    max_incarnation: number,
                }),
            }
        }
        objects
    }

    /// The incarnation of its rows if they lack the column; `None` if they have it.
    fn unsaid_incarnation(&self) -> Result<Option<i32>> {
        if self.info.layout != 1 {
            return Ok(None);
        }
        let number = i32::try_from(self.min_incarnation).ok().filter(|_| self.min_incarnation == self.max_incarnation);
        let key = &self.info.key;
        number.map(Some).ok_or_else(|| DataFusionError::Internal(format!("{key} of layout 1 has several incarnations")))
    }
}

/// The objects in groups of one scan each, by the incarnation that their rows lack.
pub(super) fn laid_out_alike(objects: Vec<&LakeObject>) -> Result<BTreeMap<Option<i32>, Vec<&LakeObject>>> {
    let mut groups: BTreeMap<_, Vec<&LakeObject>> = BTreeMap::new();
    for object in objects {
        groups.entry(object.unsaid_incarnation()?).or_default().push(object);
    }
    Ok(groups)
}

/// Reads objects by the ids of their columns; `unsaid` is the incarnation that their rows lack, in objects of layout 1.
pub(super) fn adapter(unsaid: Option<i32>) -> Arc<dyn PhysicalExprAdapterFactory> {
    Arc::new(ById { unsaid })
}

/// Makes adapters for objects of any names.
#[derive(Debug)]
struct ById {
    unsaid: Option<i32>,
}

impl PhysicalExprAdapterFactory for ById {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let names: HashMap<i32, &str> =
            table.fields().iter().filter_map(|field| Some((field_id(field)?, field.name().as_str()))).collect();
        let fields: Vec<FieldRef> = file.fields().iter().map(|field| as_in_table(field, &names)).collect();
        let is_same = fields.iter().zip(file.fields()).all(|(named, field)| named.name() == field.name());
        let incarnation = self.unsaid.map(|number| said(number, &table)).transpose()?;
        let headers = file.fields().iter().find(|field| self.unsaid.is_some() && field.name() == HEADERS).cloned();
        let others = DefaultPhysicalExprAdapterFactory.create(table, Arc::new(Schema::new(fields)))?;
        if is_same && incarnation.is_none() {
            return Ok(others);
        }
        Ok(Arc::new(ByIdAdapter { incarnation, headers, file, others }))
    }
}

/// The column of an object under its name in the table. One that the table does not have is found under no name: a new column
/// may be called as it was.
fn as_in_table(field: &FieldRef, names: &HashMap<i32, &str>) -> FieldRef {
    let Some(id) = field_id(field) else { return Arc::clone(field) };
    match names.get(&id) {
        Some(name) if name == field.name() => Arc::clone(field),
        Some(name) => Arc::new(field.as_ref().clone().with_name(*name)),
        None => Arc::new(field.as_ref().clone().with_name(format!("\0{id}"))),
    }
}

/// The value of `_incarnation` in objects that do not say it.
fn said(incarnation: i32, table: &Schema) -> Result<Arc<Literal>> {
    let metadata = FieldMetadata::from(table.field_with_name(INCARNATION)?);
    let value = ScalarValue::Int32(Some(incarnation));
    Ok(Arc::new(Literal::new_with_metadata(value, Some(metadata))))
}

/// Rewrites expressions over the table into those over one file.
#[derive(Debug)]
struct ByIdAdapter {
    incarnation: Option<Arc<Literal>>,
    /// The field of the headers in a file of layout 1.
    headers: Option<FieldRef>,
    /// The columns as the file names them.
    file: SchemaRef,
    /// Adapts widened types and added columns. Its files have the table's names.
    others: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for ByIdAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let with_incarnation = expr.transform(|node| {
            Ok(match (node.downcast_ref::<Column>(), &self.incarnation) {
                (Some(column), Some(value)) if column.name() == INCARNATION => Transformed::yes(Arc::clone(value) as _),
                _ => Transformed::no(node),
            })
        });
        let over_file = self.others.rewrite(with_incarnation.data()?)?;
        let named = over_file.transform(|node| {
            let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
            let (index, name) = (column.index(), self.file.field(column.index()).name());
            Ok(match (&self.headers, name == column.name()) {
                (Some(field), true) if name == HEADERS => Transformed::yes(with_unique_keys(node, Arc::clone(field))),
                (_, true) => Transformed::no(node),
                (_, false) => Transformed::yes(Arc::new(Column::new(name, index)) as _),
            })
        });
        named.data()
    }
}
