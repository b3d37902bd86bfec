//! Whether an operator class is one of the access method (`amvalidate`): what `SELECT amvalidate(oid)` tells.
//!
//! As for PostgreSQL's own, what is wrong is told by messages of level INFO.

use pgrx::{PgLogLevel, PgSqlErrorCode, Spi, pg_sys};

use crate::method::{IndexAccessMethod, SupportFunction};

/// Operators of the class's family for its type, with what is wrong about them; `$2` is the number of strategies.
const OPERATORS: &str = "
    SELECT concat('operator ', operator.amopopr::regoperator, ' with strategy number ', operator.amopstrategy, ' is not ',
        CASE WHEN operator.amopstrategy NOT BETWEEN 1 AND $2 THEN 'of a valid strategy number'
             WHEN operator.amoppurpose <> 's' THEN 'for searching'
             WHEN procedure.oprresult <> 'bool'::regtype THEN 'a condition' END)
    FROM pg_catalog.pg_opclass AS class
    JOIN pg_catalog.pg_amop AS operator ON operator.amopfamily = class.opcfamily
    JOIN pg_catalog.pg_operator AS procedure ON procedure.oid = operator.amopopr
    WHERE class.oid = $1 AND (operator.amopstrategy NOT BETWEEN 1 AND $2
        OR operator.amoppurpose <> 's' OR procedure.oprresult <> 'bool'::regtype)
    ORDER BY 1";

/// The class's function of number `$2`: its result's type, and those of its arguments behind the first.
const FUNCTION: &str = "
    SELECT concat_ws(' ', format_type(code.prorettype, NULL),
        (SELECT string_agg(format_type(argument, NULL), ' ' ORDER BY place)
         FROM unnest(code.proargtypes) WITH ORDINALITY AS arguments (argument, place) WHERE place > 1))
    FROM pg_catalog.pg_opclass AS class
    JOIN pg_catalog.pg_amproc AS support ON support.amprocfamily = class.opcfamily
        AND support.amproclefttype = class.opcintype AND support.amprocrighttype = class.opcintype
    JOIN pg_catalog.pg_proc AS code ON code.oid = support.amproc
    WHERE class.oid = $1 AND support.amprocnum = $2";

/// Whether operators and functions are there and of the right kind.
pub(crate) fn validate<M: IndexAccessMethod>(class: pg_sys::Oid) -> bool {
    let mut complaints = operators(class, i32::from(M::STRATEGIES));
    for (number, function) in (1_i32..).zip(M::SUPPORT) {
        let (expected, name) = match function {
            SupportFunction::ExtendedHash => ("bigint bigint", "hash(value, seed bigint) returns bigint"),
        };
        match support_function(class, number) {
            Some(found) if found == expected => {}
            Some(_) => complaints.push(format!("support function {number} is not {name}")),
            None => complaints.push(format!("support function {number}, {name}, is missing")),
        }
    }
    for complaint in &complaints {
        let message = format!("operator class {} of access method {}: {complaint}", class.to_u32(), M::NAME);
        pgrx::ereport!(PgLogLevel::INFO, PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION, message);
    }
    complaints.is_empty()
}

fn operators(class: pg_sys::Oid, strategies: i32) -> Vec<String> {
    let complaints = Spi::connect(|client| {
        let rows = client.select(OPERATORS, None, &[class.into(), strategies.into()])?;
        rows.map(|row| Ok(row.get::<String>(1)?.unwrap_or_default())).collect::<Result<Vec<_>, pgrx::spi::Error>>()
    });
    complaints.unwrap_or_else(|error| vec![error.to_string()])
}

fn support_function(class: pg_sys::Oid, number: i32) -> Option<String> {
    // No row is an error for pgrx, and here an answer.
    Spi::get_one_with_args::<String>(FUNCTION, &[class.into(), number.into()]).unwrap_or(None)
}
