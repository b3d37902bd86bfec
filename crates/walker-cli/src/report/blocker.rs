//! Who holds back the removal of dead tuples, and the statement that ends it.
//!
//! The names are those of garbagemap's function `garbagemap_horizon`, which tells only of the one that holds back most.

use ::heatmap::number::grouped;
use anyhow::Result;
use postgres::Client;
use serde::Serialize;

use super::autovacuum::hours;
use crate::summary::explain;

/// Whoever has the oldest transaction or snapshot; most first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Blocker {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// How many transactions have begun since.
    pub(super) age: i64,
    pub(super) seconds: Option<f64>,
    /// Who it is, as far as the user may see.
    pub(super) who: Option<String>,
    /// Only catalogs, not tables.
    pub(super) holds_catalogs_only: bool,
    /// What to run to end it.
    pub(super) statement: String,
    /// What to think of before.
    pub(super) advice: String,
    /// Dead tuples of the database that it holds back most.
    pub(super) held_tuples: u64,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A session.
    Backend,
    /// A standby, by its feedback.
    Walsender,
    PreparedTransaction,
    ReplicationSlot,
}

/// So many are shown.
const MOST: &str = "20";

/// The query; `garbagemap_horizon()` in `pg/garbagemap` has the same sources. Parameters: none.
pub(super) const SQL: &str = "SELECT * FROM (
    SELECT 'slot' AS kind, format('replication slot \"%s\"', slot_name) AS name,
           greatest(age(xmin), age(catalog_xmin))::int8 AS xmin_age, NULL::float8 AS seconds,
           concat_ws(', ', slot_type, CASE WHEN active THEN 'in use by process ' || active_pid ELSE 'not in use' END,
                     'database ' || database) AS who,
           xmin IS NULL AS catalogs_only, active AS is_active,
           format('SELECT pg_drop_replication_slot(%L);', slot_name) AS statement
      FROM pg_replication_slots WHERE wal_status IS DISTINCT FROM 'lost'
    UNION ALL
    SELECT 'prepared', format('prepared transaction %L', gid), age(transaction)::int8,
           extract(epoch FROM clock_timestamp() - prepared)::float8, concat('by ', owner, ' in database ', database), false,
           false, format('ROLLBACK PREPARED %L;', gid)
      FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    SELECT CASE WHEN sends THEN 'walsender' ELSE 'backend' END,
           CASE WHEN sends THEN 'walsender' ELSE coalesce(nullif(backend_type, 'client backend'), 'backend') END
               || ' ' || pid || coalesce(' (' || CASE WHEN sends THEN application_name ELSE state END || ')', ''),
           greatest(age(backend_xid), age(backend_xmin))::int8,
           extract(epoch FROM clock_timestamp() - coalesce(xact_start, backend_start))::float8,
           nullif(concat_ws(', ', usename, nullif(application_name, ''), host(client_addr)), ''),
           false, state = 'active',
           format(CASE WHEN state = 'active' AND NOT sends THEN 'SELECT pg_cancel_backend(%s);'
                       ELSE 'SELECT pg_terminate_backend(%s);' END, pid)
      FROM (SELECT *, pid IN (SELECT pid FROM pg_stat_replication) AS sends FROM pg_stat_activity) AS activity
     WHERE (sends OR datname = current_database()) AND pid <> pg_backend_pid()
       AND backend_type IS DISTINCT FROM 'parallel worker'
       AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum AS vacuum WHERE vacuum.pid = activity.pid)
       AND NOT EXISTS (SELECT FROM pg_replication_slots AS slot
                        WHERE slot.active_pid = activity.pid AND slot_type = 'logical')
) AS holder
 WHERE xmin_age > 0
 ORDER BY xmin_age DESC, kind, name LIMIT ";

impl Blocker {
    /// Asks the server.
    pub(super) fn read(client: &mut Client) -> Result<Vec<Self>> {
        let rows = client.query(&format!("{SQL}{MOST}"), &[]).map_err(explain)?;
        let blocker = |row: &postgres::Row| {
            let is_active: Option<bool> = row.try_get(6)?;
            let is_active = is_active.unwrap_or(false);
            let kind = match row.try_get(0)? {
                "slot" => Kind::ReplicationSlot,
                "prepared" => Kind::PreparedTransaction,
                "walsender" => Kind::Walsender,
                _ => Kind::Backend,
            };
            Ok(Self {
                kind,
                name: row.try_get(1)?,
                age: row.try_get(2)?,
                seconds: row.try_get(3)?,
                who: row.try_get(4)?,
                holds_catalogs_only: row.try_get(5)?,
                statement: row.try_get(7)?,
                advice: advice(kind, is_active).to_owned(),
                held_tuples: 0,
            })
        };
        rows.iter().map(blocker).collect()
    }
}

impl Blocker {
    /// How long it is there and what that costs.
    pub(super) fn words(&self) -> String {
        let ages = if self.age == 1 { "transaction has" } else { "transactions have" };
        let mut words = format!("{} {ages} begun since", grouped(self.age.unsigned_abs()));
        if let Some(seconds) = self.seconds {
            words.push_str(&format!(", in {}", hours(seconds / 3_600.0)));
        }
        match (self.held_tuples, self.holds_catalogs_only) {
            (0, false) => {}
            (0, true) => words.push_str("; it holds back catalogs only"),
            (held, _) => words.push_str(&format!("; {} dead tuples are held back by it", grouped(held))),
        }
        words + "."
    }
}

fn advice(kind: Kind, is_active: bool) -> &'static str {
    match (kind, is_active) {
        (Kind::Backend, true) => "A query or transaction that runs: wait for its end, or cancel it.",
        (Kind::Backend, false) => {
            "An open transaction that waits for its client: let the application end it, or end the session. \
             idle_in_transaction_session_timeout ends such sessions by itself."
        }
        (Kind::Walsender, _) => {
            "A standby's hot_standby_feedback: a query there needs these tuples. Look into pg_stat_activity of the standby; the \
             statement here only makes it connect anew. Without feedback such queries are cancelled instead."
        }
        (Kind::PreparedTransaction, _) => {
            "Nobody ends it but a session: ask whoever manages the transactions whether to COMMIT PREPARED or to roll it back."
        }
        (Kind::ReplicationSlot, true) => "Its consumer is behind: see what it waits for before dropping the slot.",
        (Kind::ReplicationSlot, false) => {
            "Nobody uses it: let its consumer come back, or drop it if there is none any more."
        }
    }
}
