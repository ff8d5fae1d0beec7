//! SHOW of a table.
//!
//! Owns: that SHOW COLUMNS shows one table, and the refusal of SHOW CREATE.
//! Does not own: what is shown (DataFusion's information schema), SHOW of settings.
//!
//! Why it is needed, for DataFusion 54.1: of a table without a schema it shows the columns of all tables of that name, a topic and its
//! quarantine; and tables have no statement that makes them.

use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Ident, ObjectNamePart};

use super::TOPICS_SCHEMA;

/// Gives the table of a SHOW COLUMNS its schema.
///
/// # Errors
/// When it is SHOW CREATE.
pub(super) fn of_one_table(statement: &mut Statement) -> Result<()> {
    let Statement::Statement(inner) = statement else { return Ok(()) };
    match inner.as_mut() {
        ast::Statement::ShowCreate { obj_name, .. } => {
            plan_err!("SHOW CREATE is not carried out; write DESCRIBE {obj_name}, or `siltstone topic describe`")
        }
        ast::Statement::ShowColumns { show_options, .. } => {
            let table = show_options.show_in.as_mut().and_then(|place| place.parent_name.as_mut());
            if let Some(table) = table
                && table.0.len() == 1
            {
                table.0.insert(0, ObjectNamePart::Identifier(Ident::new(TOPICS_SCHEMA)));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
