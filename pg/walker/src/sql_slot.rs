//! The SQL function that drops the worker's replication slot.

use std::time::Duration;

use pgrx::prelude::*;
use pgrx::{PgSqlErrorCode, pg_sys};
use pgxlog::raise;

use crate::{mailbox, retention, settings};

/// How long the worker may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Drops the slot: by the worker if it runs, which makes it anew only after a reload of the settings or a restart.
#[pg_extern(sql = "", volatile)]
fn walker_drop_slot() {
    // SAFETY: an ERROR says so if the user is neither a superuser nor has REPLICATION.
    unsafe { pg_sys::CheckSlotPermissions() };
    if mailbox::is_open() {
        mailbox::ask_worker(retention::DROP_SLOT, TIMEOUT);
        return;
    }
    let Some(name) = settings::configured_slot_name() else {
        let message = "there is no replication slot: \"walker.slot_name\" is empty";
        raise(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, message, None)
    };
    pgxlog::drop_slot(&name);
}
