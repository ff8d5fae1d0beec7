//! Objects of layout 1, written by version 0.1.0, read as those of the current layout.
//!
//! Owns: the live objects of a table, their incarnations, and the reading of layout 1: `_partition` becomes
//! `_partition_id`, `_incarnation` comes from the segment, and headers may be doubled (`doubled_headers`). Does not own:
//! scanning (`provider`).

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
use crate::schema::{HEADERS, INCARNATION, PARTITION, PARTITION_IN_LAYOUT_1};
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

/// Reads objects of layout 1, all of one incarnation, as those of the current layout.
pub(super) fn adapter(incarnation: i32) -> Arc<dyn PhysicalExprAdapterFactory> {
    Arc::new(LayoutOne { incarnation })
}

/// Makes adapters for objects of layout 1 and of one incarnation.
#[derive(Debug)]
struct LayoutOne {
    incarnation: i32,
}

impl PhysicalExprAdapterFactory for LayoutOne {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let renamed = file.fields().iter().map(|field| match field.name().as_str() {
            PARTITION_IN_LAYOUT_1 => Arc::new(field.as_ref().clone().with_name(PARTITION)),
            _ => Arc::clone(field),
        });
        let renamed = Arc::new(Schema::new(renamed.collect::<Vec<_>>()));
        let metadata = FieldMetadata::from(table.field_with_name(INCARNATION)?);
        let value = ScalarValue::Int32(Some(self.incarnation));
        let incarnation = Arc::new(Literal::new_with_metadata(value, Some(metadata)));
        let headers = file.fields().iter().find(|field| field.name() == HEADERS).cloned();
        let others = DefaultPhysicalExprAdapterFactory.create(table, renamed)?;
        Ok(Arc::new(LayoutOneAdapter { incarnation, headers, others }))
    }
}

/// Rewrites expressions over the table into those over one file.
#[derive(Debug)]
struct LayoutOneAdapter {
    incarnation: Arc<Literal>,
    /// The field of the file's headers.
    headers: Option<FieldRef>,
    /// Adapts all other columns: widened types, added columns.
    others: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for LayoutOneAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let with_incarnation = expr.transform(|node| {
            Ok(match node.downcast_ref::<Column>() {
                Some(column) if column.name() == INCARNATION => Transformed::yes(Arc::clone(&self.incarnation) as _),
                _ => Transformed::no(node),
            })
        });
        let over_file = self.others.rewrite(with_incarnation.data()?)?;
        let named = over_file.transform(|node| {
            Ok(match (node.downcast_ref::<Column>(), &self.headers) {
                (Some(column), _) if column.name() == PARTITION => {
                    Transformed::yes(Arc::new(Column::new(PARTITION_IN_LAYOUT_1, column.index())) as _)
                }
                (Some(column), Some(field)) if column.name() == HEADERS => {
                    Transformed::yes(with_unique_keys(node, Arc::clone(field)))
                }
                _ => Transformed::no(node),
            })
        });
        named.data()
    }
}
