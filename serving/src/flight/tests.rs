//! Requests that are refused early.

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::CommandPreparedStatementQuery;
use tonic::Code;

use super::*;
use crate::testing;

/// A handle with a message of Arrow whose metadata would have 2 GiB.
const FORGED: &[u8] = b"SELECT 1\0\xff\xff\xff\xff\xff\xff\xff\x7f";

#[tokio::test]
async fn a_handle_is_read_only_for_those_who_may_read() {
    let (executor, catalog) = testing::executor(testing::limits()).await;
    let flight = |is_local| {
        let callers = Callers::new(Arc::clone(&catalog), common::clock::system_clock(), is_local);
        Flight::new(Arc::clone(&executor), Arc::new(callers)).expect("random numbers")
    };
    // Elsewhere everybody needs a token; on this machine nobody does while there is none.
    for (is_local, code) in [(false, Code::Unauthenticated), (true, Code::InvalidArgument)] {
        let flight = flight(is_local);
        let ticket = TicketStatementQuery { statement_handle: FORGED.into() };
        let rows = flight.do_get_statement(ticket, Request::new(Ticket::default())).await;
        assert_eq!(rows.err().expect("refused").code(), code, "{is_local}");
        let query = CommandPreparedStatementQuery { prepared_statement_handle: FORGED.into() };
        let request = Request::new(FlightDescriptor::default());
        let info = flight.get_flight_info_prepared_statement(query, request).await;
        assert_eq!(info.expect_err("refused").code(), code, "{is_local}");
    }
}

#[tokio::test]
async fn a_statement_that_is_too_large_is_refused_before_it_is_parsed() {
    let (executor, catalog) = testing::executor(testing::limits()).await;
    let callers = Callers::new(catalog, common::clock::system_clock(), true);
    let flight = Flight::new(executor, Arc::new(callers)).expect("random numbers");
    let query = CommandStatementQuery { query: testing::too_large(), transaction_id: None };
    let refused = flight.get_flight_info_statement(query, Request::new(FlightDescriptor::default())).await;
    let refused = refused.expect_err("too large");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("allowed are 100000"), "{refused}");
}

#[tokio::test]
async fn rows_have_the_columns_that_were_announced() {
    let (executor, catalog) = testing::executor(testing::limits()).await;
    let callers = Callers::new(catalog, common::clock::system_clock(), true);
    let flight = Flight::new(executor, Arc::new(callers)).expect("random numbers");
    for sql in [
        "SELECT d * 1.5 AS x FROM (VALUES (1.25::decimal(12,2))) v(d)",
        "SELECT coalesce(d, t) AS x FROM (VALUES (DATE '2020-01-01', TIMESTAMP '2020-01-01')) v(d, t)",
        "SELECT now() AS a, date_trunc('day', now()) AS b, current_date AS c, count(*) AS d FROM (VALUES (1)) v(k)",
        "SELECT k, upper('x') AS u, [1, 2] AS l, CASE WHEN true THEN 1 END AS c FROM (VALUES (1)) v(k)",
        "SELECT '1' AS s, NULL AS n, TIMESTAMP '9999-12-31' AS t",
    ] {
        let query = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
        let info = flight.get_flight_info_statement(query, Request::new(FlightDescriptor::default())).await;
        let announced = info.expect(sql).into_inner().try_decode_schema().expect(sql);
        let ticket =
            TicketStatementQuery { statement_handle: Handle::of(sql.to_owned()).encoded(&flight.key).expect(sql) };
        let rows = flight.do_get_statement(ticket, Request::new(Ticket::default())).await.expect(sql).into_inner();
        let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut rows = FlightRecordBatchStream::new_from_flight_data(rows);
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.expect(sql);
            assert_eq!(*batch.schema(), announced, "{sql}");
            count += batch.num_rows();
        }
        assert_eq!(count, 1, "{sql}");
    }
}
