//! `garbagemap_tables`: totals of all tables of the database, which the view `garbagemap` shows with their names.

use std::collections::HashMap;

use garbagemap::{Answer, DatabaseAnswer, Question, RelationTotals};
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgwal::{Lsn, TransactionId};

use crate::rights;
use crate::target::UNLOGGED;
use crate::worker::{PgLsn, TIMEOUT, ask, bigint, other_answer, pg_lsn};

/// The tables and where they are. What may be removed from which depends on the kind: see `GlobalVisHorizonKindForRel` in
/// `src/backend/storage/ipc/procarray.c`. Literals are of unknown type, so that no operator but those of pg_catalog fits. Relations of numbers below 12000 are catalogs (`IsCatalogRelationOid`).
const TABLES: &str = "
    SELECT c.oid, coalesce(nullif(c.reltablespace, '0'), d.dattablespace), pg_catalog.pg_relation_filenode(c.oid)::oid,
        CASE WHEN c.relisshared THEN 0
             WHEN c.oid < '12000' THEN 1
             WHEN pg_catalog.current_setting('wal_level') = 'logical' AND
                  (SELECT option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions)
                   WHERE option_name = 'user_catalog_table') THEN 1
             ELSE 2 END,
        c.relpersistence = 'p'
    FROM pg_catalog.pg_class c, pg_catalog.pg_database d
    WHERE d.datname = pg_catalog.current_database() AND c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't'
        AND c.relam = (SELECT oid FROM pg_catalog.pg_am WHERE amname = 'heap')";

/// `InvalidSubTransactionId` (`src/include/c.h`).
const INVALID_SUBTRANSACTION_ID: pg_sys::SubTransactionId = 0;

/// For each kind of table the name of its horizon.
const KINDS: [&str; 3] = ["shared", "catalog", "data"];

/// A table that the user may ask for.
struct Table {
    id: pg_sys::Oid,
    locator: (u32, u32, u32),
    /// Index of [`KINDS`].
    kind: usize,
    logged: bool,
    /// Size in blocks; `None` if somebody has it all for himself.
    blocks: Option<u32>,
}

/// One row for each table of access method heap that the user may ask for, but temporary ones.
#[pg_extern(sql = "", volatile)]
#[allow(clippy::type_complexity)]
fn garbagemap_tables() -> TableIterator<
    'static,
    (
        name!(relid, pg_sys::Oid),
        name!(horizon, &'static str),
        name!(n_blocks, Option<i64>),
        name!(known_blocks, i64),
        name!(n_tuples, Option<i64>),
        name!(n_dead_tuples, Option<i64>),
        name!(dead_bytes, Option<i64>),
        name!(n_not_removable, Option<i64>),
        name!(lp_dead, Option<i64>),
        name!(redirects, Option<i64>),
        name!(freespace, Option<i64>),
        name!(n_all_visible, Option<i64>),
        name!(n_updates, Option<i64>),
        name!(n_hot_updates, Option<i64>),
        name!(n_dead_since_vacuum, Option<i64>),
        name!(n_dead_per_minute, Option<f64>),
        name!(last_vacuum, Option<i64>),
        name!(last_vacuum_lsn, Option<PgLsn>),
        name!(exact, bool),
        name!(inexact, Option<String>),
        name!(lsn, PgLsn),
    ),
> {
    let mut tables = tables();
    // Before the map is asked: who deletes after this does not precede the horizon.
    let horizons = look_at_files(&mut tables);
    let DatabaseAnswer { position, relations, inexact } = ask_for_all(horizons);
    let lsn = pg_lsn(Lsn::new(position));
    let mut known: HashMap<_, _> = relations.into_iter().map(|totals| (totals.relation, totals)).collect();
    TableIterator::new(tables.into_iter().map(move |table| {
        let known = known.remove(&table.locator).filter(|_| table.logged);
        let row = Row::new(&table, known, inexact.as_deref());
        let totals = row.totals;
        let number = |of: fn(&RelationTotals) -> u64| totals.as_ref().map(|totals| bigint(of(totals)));
        let not_removable = totals.as_ref().and_then(|totals| totals.not_removable.get(table.kind).copied());
        let vacuumed = totals.as_ref().and_then(|totals| totals.vacuumed);
        (
            table.id,
            KINDS[table.kind],
            table.blocks.map(i64::from),
            bigint(row.known_blocks),
            number(|totals| totals.tuples),
            number(|totals| totals.dead_tuples),
            number(|totals| totals.dead_bytes),
            not_removable.filter(|_| horizons[table.kind].is_some()).map(bigint),
            number(|totals| totals.lp_dead),
            number(|totals| totals.redirects),
            number(|totals| totals.free_space),
            number(|totals| totals.all_visible),
            number(|totals| totals.updates),
            number(|totals| totals.hot_updates),
            number(|totals| totals.deaths_since_vacuum),
            totals.as_ref().map(|totals| totals.deaths_per_minute),
            vacuumed.and_then(|(_, time)| time),
            vacuumed.map(|(lsn, _)| pg_lsn(Lsn::new(lsn))),
            row.exact,
            row.inexact,
            lsn,
        )
    }))
}

/// What is told of a table.
struct Row {
    known_blocks: u64,
    /// `None` if nothing is known.
    totals: Option<RelationTotals>,
    exact: bool,
    inexact: Option<String>,
}

impl Row {
    fn new(table: &Table, known: Option<RelationTotals>, everywhere: Option<&str>) -> Self {
        if !table.logged {
            return Self { known_blocks: 0, totals: None, exact: false, inexact: Some(UNLOGGED.to_owned()) };
        }
        let totals = known.unwrap_or_else(|| nothing(table, everywhere));
        let blocks = table.blocks.map(u64::from);
        let known_blocks = match blocks {
            // Those that were never told of are empty.
            Some(blocks) if totals.complete => blocks.saturating_sub(totals.lost_blocks),
            // The file may have grown or been cut off meanwhile.
            Some(blocks) => totals.known_blocks.min(blocks),
            None => totals.known_blocks,
        };
        // What is known may have come after the size was looked at.
        let blocks_now = blocks.map(|blocks| blocks.max(totals.known_end));
        let all = if totals.complete { totals.lost_blocks == 0 } else { blocks_now == Some(totals.known_blocks) };
        let inexact = totals.inexact.clone();
        let empty = blocks == Some(0);
        Self {
            known_blocks,
            exact: all && inexact.is_none(),
            totals: (known_blocks > 0 || totals.complete || empty).then_some(totals),
            inexact,
        }
    }
}

/// Totals of a table that the map does not know.
fn nothing(table: &Table, everywhere: Option<&str>) -> RelationTotals {
    RelationTotals {
        relation: table.locator,
        not_removable: vec![0; KINDS.len()],
        inexact: everywhere.map(str::to_owned),
        ..RelationTotals::default()
    }
}

/// The tables that the user may ask for. Their sizes are not known yet.
fn tables() -> Vec<Table> {
    let all = rights::may_see_all();
    // SAFETY: the database that this backend is connected to.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    let listed = Spi::connect(|client| -> pgrx::spi::Result<Vec<Table>> {
        let rows = client.select(TABLES, None, &[])?;
        let mut tables = Vec::with_capacity(rows.len());
        for row in rows {
            let oid = |column| -> pgrx::spi::Result<u32> {
                Ok(row.get::<pg_sys::Oid>(column)?.unwrap_or(pg_sys::InvalidOid).to_u32())
            };
            let kind = usize::try_from(row.get::<i32>(4)?.unwrap_or(0)).unwrap_or(0).min(KINDS.len() - 1);
            tables.push(Table {
                id: pg_sys::Oid::from(oid(1)?),
                locator: (oid(2)?, if kind == 0 { 0 } else { database }, oid(3)?),
                kind,
                logged: row.get(5)?.unwrap_or(false),
                blocks: None,
            });
        }
        Ok(tables)
    });
    let mut tables = listed.unwrap_or_else(|error| pgrx::error!("could not list the tables: {error}"));
    tables.retain(|table| all || is_there(table.id) && rights::owns(table.id));
    tables
}

fn is_there(relation: pg_sys::Oid) -> bool {
    // SAFETY: looks into the system caches.
    unsafe { pg_sys::get_rel_relkind(relation) != 0 }
}

/// Looks how large the files are, without waiting for who changes a table's definition. Tables that are gone are left out.
/// Returns for each kind the oldest transaction whose deletions may not be removed; `None` on a standby, where nothing is
/// removed.
fn look_at_files(tables: &mut Vec<Table>) -> [Option<TransactionId>; KINDS.len()] {
    let mut horizons = [None; KINDS.len()];
    // SAFETY: looks at the server's state.
    let standby = unsafe { pg_sys::RecoveryInProgress() };
    let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    tables.retain_mut(|table| {
        // SAFETY: the relation is opened under a lock, and both are given back; an ERROR gives them back too.
        unsafe {
            if !pg_sys::ConditionalLockRelationOid(table.id, mode) {
                return true;
            }
            let relation = pg_sys::try_relation_open(table.id, pg_sys::NoLock as pg_sys::LOCKMODE);
            if relation.is_null() {
                pg_sys::UnlockRelationOid(table.id, mode);
                return false;
            }
            // On a standby an unlogged table has no file.
            if table.logged || !standby {
                let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
                table.blocks = Some(pg_sys::RelationGetNumberOfBlocksInFork(relation, fork));
            }
            // Of a table made in this transaction only its own horizon is told.
            let own = (*relation).rd_createSubid != INVALID_SUBTRANSACTION_ID;
            if !standby && !own && horizons[table.kind].is_none() {
                let oldest = pg_sys::GetOldestNonRemovableTransactionId(relation);
                horizons[table.kind] = Some(pgxlog::transaction_id(oldest));
            }
            pg_sys::relation_close(relation, mode);
        }
        pgrx::check_for_interrupts!();
        true
    });
    horizons
}

fn ask_for_all(horizons: [Option<TransactionId>; KINDS.len()]) -> DatabaseAnswer {
    // SAFETY: the database that this backend is connected to, and the time.
    let (database, time) = unsafe { (pg_sys::MyDatabaseId.to_u32(), pg_sys::GetCurrentTimestamp()) };
    let horizons = horizons.map(|horizon| horizon.unwrap_or(TransactionId::INVALID)).to_vec();
    match ask(&Question::Database { database, horizons, time }, TIMEOUT) {
        Answer::Database(answer) => answer,
        _ => other_answer(),
    }
}
