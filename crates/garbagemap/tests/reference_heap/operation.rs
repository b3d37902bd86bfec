//! What happens at random.

use std::fmt;

use proptest::prelude::*;

use crate::heap::UpdateManner;
use crate::server::Server;
use crate::transactions::Status;

/// A kind of thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Insert,
    MultiInsert,
    CopyFreeze,
    SpeculativeInsert,
    Update,
    Delete,
    Lock,
    Overwrite,
    Savepoint,
    Release,
    Rollback,
    Commit,
    Prepare,
    EndPrepared,
    Running,
    CreateRelation,
    DropRelation,
    CopyRelation,
    TruncateCreated,
    Prune,
    VacuumPrune,
    VacuumDeadItems,
    Freeze,
    SetVisible,
    /// All of the above, for all blocks.
    Vacuum,
    TruncateEmpty,
    TruncateVisibilityMap,
    Hints,
    BeginCheckpoint,
    EndCheckpoint,
    AdvanceOldestXid,
    Crash,
    Restart,
    SwitchFullPageWrites,
    Promote,
    /// The map is kept in a file.
    Keep,
    /// The map goes on from that file: what it was told since, it is told again.
    GoBack,
}

impl Kind {
    /// Whether no session does it.
    fn is_of_nobody(self) -> bool {
        use Kind::*;
        let of_server =
            [Running, BeginCheckpoint, EndCheckpoint, AdvanceOldestXid, Crash, Restart, SwitchFullPageWrites];
        of_server.contains(&self) || [Promote, Keep, GoBack, Vacuum, SetVisible, Hints].contains(&self)
    }
}

/// Something that happens: what the numbers choose depends on what there is to choose from.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    session: usize,
    numbers: [u16; 3],
}

impl fmt::Debug for Operation {
    /// On one line: a history has many of them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, session, numbers: [one, two, three] } = self;
        write!(formatter, "{kind:?} by {session} with {one}, {two}, {three}")
    }
}

/// Of these kinds, so often each, besides what always happens.
pub(crate) fn operations(more: &[(u32, Kind)]) -> impl Strategy<Value = Vec<Operation>> + use<> {
    let usual = [
        (12, Kind::Insert),
        (5, Kind::MultiInsert),
        (3, Kind::CopyFreeze),
        (4, Kind::SpeculativeInsert),
        (16, Kind::Update),
        (8, Kind::Delete),
        (10, Kind::Lock),
        (2, Kind::Overwrite),
        (4, Kind::Savepoint),
        (3, Kind::Release),
        (5, Kind::Rollback),
        (18, Kind::Commit),
        (2, Kind::Prepare),
        (3, Kind::EndPrepared),
        (3, Kind::Running),
        (2, Kind::CreateRelation),
        (1, Kind::DropRelation),
        (3, Kind::CopyRelation),
        (1, Kind::TruncateCreated),
        (7, Kind::Prune),
        (5, Kind::VacuumPrune),
        (6, Kind::VacuumDeadItems),
        (4, Kind::Freeze),
        (6, Kind::SetVisible),
        (6, Kind::Vacuum),
        (2, Kind::TruncateEmpty),
        (1, Kind::TruncateVisibilityMap),
        (5, Kind::Hints),
        (4, Kind::BeginCheckpoint),
        (6, Kind::EndCheckpoint),
        (1, Kind::AdvanceOldestXid),
        (2, Kind::Keep),
        (1, Kind::GoBack),
    ];
    let kinds: Vec<_> = usual.iter().chain(more).map(|(weight, kind)| (*weight, Just(*kind))).collect();
    let operation = (proptest::strategy::Union::new_weighted(kinds), 0usize..4, any::<[u16; 3]>());
    let operation = operation.prop_map(|(kind, session, numbers)| Operation { kind, session, numbers });
    proptest::collection::vec(operation, 10..250)
}

impl Operation {
    /// Makes it happen.
    pub(crate) fn carry_out(self, server: &mut Server) {
        let Self { kind, session, numbers: [one, two, three] } = self;
        if !kind.is_of_nobody() {
            server.finish_speculative(session, one.is_multiple_of(2));
        }
        let length = 24 + two % if two.is_multiple_of(5) { 2000 } else { 100 };
        match kind {
            Kind::Savepoint => server.savepoint(session),
            Kind::Release => server.release(session),
            Kind::Rollback => server.rollback(session),
            Kind::Commit => server.commit(session),
            Kind::Prepare => server.prepare(session),
            Kind::EndPrepared => {
                let prepared = server.prepared();
                if !prepared.is_empty() {
                    let xid = prepared[usize::from(one) % prepared.len()];
                    let status = if two.is_multiple_of(2) { Status::Committed } else { Status::Aborted };
                    server.end_transaction(xid, status, true);
                }
            }
            Kind::Running => server.log_running((one.is_multiple_of(2)).then_some(session)),
            Kind::CreateRelation => drop(server.create_relation(session)),
            Kind::BeginCheckpoint => server.begin_checkpoint(),
            Kind::EndCheckpoint => server.end_checkpoint(),
            Kind::AdvanceOldestXid => server.advance_oldest_xid(),
            Kind::Crash => server.crash(),
            Kind::Restart => server.restart(),
            Kind::SwitchFullPageWrites => server.switch_full_page_writes(),
            Kind::Promote => server.promote(one.is_multiple_of(2)),
            Kind::Keep | Kind::GoBack => {}
            _ => {
                if let Some(relation) = server.choose_relation(session, three) {
                    self.on_relation(server, relation, length);
                }
            }
        }
    }

    fn on_relation(self, server: &mut Server, relation: u32, length: u16) {
        let Self { kind, session, numbers: [one, two, _] } = self;
        let lengths: Vec<u16> = (0..1 + one % 40).map(|number| 24 + (two / 3 + number) % 60).collect();
        let manner =
            UpdateManner { keys: one.is_multiple_of(3), moves: two.is_multiple_of(4), shared: (one % 50, two % 30) };
        match kind {
            Kind::Insert => server.insert(session, relation, length, one, false),
            Kind::SpeculativeInsert => server.insert(session, relation, length, one, true),
            Kind::MultiInsert => server.multi_insert(session, relation, &lengths, two, false),
            Kind::CopyFreeze => {
                // Into a new table, as long as there is room for one.
                let relation = server.create_relation(session).unwrap_or(relation);
                server.multi_insert(session, relation, &lengths, two, true);
            }
            Kind::Update => server.update(session, relation, one, length, manner),
            Kind::Delete => server.delete(session, relation, one),
            Kind::Lock => server.lock_tuple(session, relation, one, two.is_multiple_of(4)),
            Kind::Overwrite => server.overwrite(relation, one),
            Kind::DropRelation => server.drop_relation(session, relation),
            Kind::CopyRelation => server.copy_relation(session, relation, usize::from(1 + one % 4)),
            Kind::TruncateCreated => server.truncate_created(session, relation),
            Kind::Vacuum => server.vacuum(relation, one.is_multiple_of(2), two.is_multiple_of(2)),
            Kind::TruncateEmpty => server.truncate_empty(relation),
            Kind::TruncateVisibilityMap => server.truncate_visibility_map(relation),
            _ => {
                let blocks = server.relations[&relation].pages.len();
                if blocks > 0 {
                    self.on_block(server, relation, (usize::from(one) % blocks) as u32);
                }
            }
        }
    }

    fn on_block(self, server: &mut Server, relation: u32, block: u32) {
        match self.kind {
            Kind::Prune => server.prune(relation, block, false),
            Kind::VacuumPrune => server.prune(relation, block, true),
            Kind::VacuumDeadItems => server.vacuum_dead_items(relation, block),
            Kind::Freeze => server.freeze(relation, block),
            Kind::SetVisible => server.set_visible(relation, block),
            Kind::Hints => server.leave_hints(relation, block),
            kind => unreachable!("{kind:?}"),
        }
    }
}
