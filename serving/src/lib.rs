//! SQL for the tools that people already have: Flight SQL, the PostgreSQL protocol, and HTTP.
//!
//! Owns: the doors, and the limits of what comes through them. Does not own: planning and reading (`lake::query`).
