//! What clients ask about the service: its schemas, its tables, and what it can do.
//!
//! Owns: these answers. Does not own: which tables there are (`executor`).

use std::sync::LazyLock;

use arrow_array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, SqlInfo,
};
use arrow_schema::SchemaRef;
use futures::TryStreamExt;
use lake::query::ListedTable;
use tonic::{Response, Status};

use super::Rows;
use crate::executor::CATALOG;

const SCHEMAS: [&str; 4] = ["information_schema", "public", "quarantine", "siltstone"];
const TABLE: &str = "TABLE";

static SQL_INFO: LazyLock<SqlInfoData> = LazyLock::new(|| {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Siltstone");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, 0i32);
    info.append(SqlInfo::FlightSqlServerCancel, false);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.build().expect("the values have the types of their names")
});

pub(super) fn catalogs(query: CommandGetCatalogs) -> Result<Response<Rows>, Status> {
    let mut builder = query.into_builder();
    builder.append(CATALOG);
    answer(builder.build())
}

pub(super) fn schemas(query: CommandGetDbSchemas) -> Result<Response<Rows>, Status> {
    let mut builder = query.into_builder();
    SCHEMAS.iter().for_each(|schema| builder.append(CATALOG, schema));
    answer(builder.build())
}

pub(super) fn tables(query: CommandGetTables, tables: &[ListedTable]) -> Result<Response<Rows>, Status> {
    let mut builder = query.into_builder();
    for table in tables {
        let appended = builder.append(CATALOG, table.schema, &table.name, TABLE, &table.columns);
        appended.map_err(Status::from)?;
    }
    answer(builder.build())
}

pub(super) fn table_types(query: CommandGetTableTypes) -> Result<Response<Rows>, Status> {
    let mut builder = query.into_builder();
    builder.append(TABLE);
    answer(builder.build())
}

pub(super) fn sql_info_schema() -> SchemaRef {
    SQL_INFO.schema()
}

pub(super) fn sql_info(query: CommandGetSqlInfo) -> Result<Response<Rows>, Status> {
    answer(query.into_builder(&SQL_INFO).build())
}

fn answer(batch: Result<RecordBatch, FlightError>) -> Result<Response<Rows>, Status> {
    let batch = batch.map_err(Status::from)?;
    let rows = futures::stream::iter([Ok(batch.clone())]);
    let data = FlightDataEncoderBuilder::new().with_schema(batch.schema()).build(rows);
    Ok(Response::new(Box::pin(data.map_err(Status::from))))
}
