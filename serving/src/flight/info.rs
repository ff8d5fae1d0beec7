//! Answers of one message: where rows are, what a schema is, and that nothing is written.
//!
//! Owns: their form. Does not own: the rows.

use arrow_flight::sql::ProstMessageExt;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::Schema;
use prost::Message;
use tonic::{Request, Response, Status};

/// Where the rows of a command are fetched: here, with this ticket.
pub(super) fn info(
    command: &impl ProstMessageExt,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let ticket = Ticket::new(command.as_any().encode_to_vec());
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|error| Status::internal(error.to_string()))?
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
        .with_descriptor(request.into_inner());
    Ok(Response::new(info))
}

/// A schema as its message.
pub(super) fn as_message(schema: &Schema) -> Result<bytes::Bytes, Status> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    Ok(message.map_err(|error| Status::internal(error.to_string()))?.0)
}

/// The refusal of a request that writes.
pub(super) fn read_only(what: &str) -> Status {
    Status::permission_denied(format!("{what} is not allowed here: this service only reads"))
}
