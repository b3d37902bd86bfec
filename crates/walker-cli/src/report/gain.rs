//! What a VACUUM would gain now.
//!
//! Which blocks it gives back mirrors `src/backend/access/heap/vacuumlazy.c`: `should_attempt_truncation`, and
//! `lazy_vacuum`, which leaves indexes alone where few blocks have dead tuples; then the line pointers stay.

use ::heatmap::number::{grouped, size};
use serde::Serialize;

use super::figures::{Figures, Tail};
use super::settings::TableSettings;

/// VACUUM gives blocks back from so many on (`REL_TRUNCATE_MINIMUM`), or from this part of the table
/// (`REL_TRUNCATE_FRACTION`).
const TRUNCATE_MINIMUM: u64 = 1_000;
const TRUNCATE_FRACTION: u64 = 16;
/// Indexes are left alone where fewer blocks than one of so many have dead tuples (`BYPASS_THRESHOLD_PAGES`).
const BYPASS_FRACTION: u64 = 50;

/// What would become free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Gain {
    /// Dead tuples that may be removed.
    pub(super) tuples: u64,
    /// Their bytes, as pgstattuple counts them.
    pub(super) bytes: u64,
    /// Whether the numbers above are exact; else a part of the table's is estimated.
    pub(super) is_exact: bool,
    /// Blocks at the end that would be given back to the file system.
    pub(super) blocks: u64,
    pub(super) bytes_of_blocks: u64,
    /// How sure that is, and why it is no more.
    pub(super) words: Vec<String>,
}

impl Gain {
    /// `None` if the numbers are not known.
    pub(super) fn of(
        figures: &Figures,
        tail: Option<&Tail>,
        settings: &TableSettings,
        block_size: u64,
    ) -> Option<Self> {
        let (dead, dead_bytes) = (figures.dead_tuples?, figures.dead_bytes?);
        let tuples = figures.removable_tuples?.min(dead);
        let mut words = Vec::new();
        let bytes = if tuples == dead {
            dead_bytes
        } else if tuples == 0 {
            0
        } else {
            words.push(
                "Bytes are estimated: of the dead tuples' average size, since which ones may go is not known.".into(),
            );
            part(dead_bytes, tuples, dead)
        };
        if !figures.exact {
            let unknown = figures.blocks.saturating_sub(figures.known_blocks);
            words.push(match &figures.inexact {
                Some(cause) => format!("Not exact: {cause}."),
                None => format!("Of {} blocks nothing is known; these numbers are of the others.", grouped(unknown)),
            });
        }
        let blocks = match tail {
            Some(tail) => truncatable(figures, tail, tuples == dead, settings, &mut words),
            None => 0,
        };
        let bytes_of_blocks = blocks.saturating_mul(block_size);
        if blocks > 0 {
            words.push(format!(
                "{} empty blocks at the end ({}) go back to the file system, if VACUUM gets its lock.",
                grouped(blocks),
                size(bytes_of_blocks)
            ));
        }
        Some(Self {
            tuples,
            bytes,
            is_exact: (tuples == dead || tuples == 0) && figures.exact,
            blocks,
            bytes_of_blocks,
            words,
        })
    }
}

/// `number` times `part` by `whole`, not rounded up.
fn part(number: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(number) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

fn truncatable(
    figures: &Figures,
    tail: &Tail,
    all_may_go: bool,
    settings: &TableSettings,
    words: &mut Vec<String>,
) -> u64 {
    let candidates = if all_may_go { tail.without_live } else { tail.without_any };
    if candidates == 0 {
        return 0;
    }
    let empty = format!("{} blocks at the end would be empty, but", grouped(candidates));
    if !settings.truncate {
        words.push(format!("{empty} stay: vacuum_truncate is off."));
    } else if candidates < TRUNCATE_MINIMUM && candidates < tail.blocks / TRUNCATE_FRACTION {
        words.push(format!("{empty} stay: VACUUM gives back 1,000 or a sixteenth of the table at least."));
    } else if figures.has_index && tail.without_any < candidates && tail.with_dead < tail.blocks / BYPASS_FRACTION {
        words.push(format!(
            "{empty} keep line pointers: less than 2 % of the blocks have dead tuples, and VACUUM leaves indexes alone then, \
             unless it is told INDEX_CLEANUP ON."
        ));
    } else {
        if tail.blocks_per_range > 1 {
            words.push(format!("Empty blocks are counted in steps of {}: at least.", tail.blocks_per_range));
        }
        return candidates;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::settings::samples::defaults;

    fn figures() -> Figures {
        Figures {
            blocks: 100,
            known_blocks: 100,
            live_tuples: Some(900),
            dead_tuples: Some(100),
            dead_bytes: Some(5_000),
            removable_tuples: Some(100),
            exact: true,
            has_index: true,
            ..Figures::default()
        }
    }

    fn gain(figures: &Figures, tail: Tail) -> Gain {
        let settings = TableSettings::new(&defaults(), &figures.options);
        Gain::of(figures, Some(&tail), &settings, 8192).unwrap()
    }

    const TAIL: Tail = Tail { blocks: 100, without_live: 10, without_any: 0, with_dead: 12, blocks_per_range: 1 };

    #[test]
    fn all_goes_if_all_may_go() {
        let gain = gain(&figures(), TAIL);
        assert_eq!((gain.tuples, gain.bytes, gain.blocks, gain.bytes_of_blocks), (100, 5_000, 10, 81_920));
        assert!(gain.is_exact);
    }

    #[test]
    fn what_may_not_go_is_not_promised() {
        let held = Figures { removable_tuples: Some(40), ..figures() };
        let gain = gain(&held, TAIL);
        assert_eq!((gain.tuples, gain.bytes, gain.blocks, gain.is_exact), (40, 2_000, 0, false));
        assert!(gain.words[0].starts_with("Bytes are estimated"));
        assert!(
            Gain::of(&Figures { removable_tuples: None, ..figures() }, None, &TableSettings::new(&defaults(), &[]), 1)
                .is_none()
        );
    }

    #[test]
    fn blocks_stay_where_vacuum_leaves_them() {
        let few = Tail { without_live: 5, ..TAIL };
        assert_eq!(gain(&figures(), few).blocks, 0);
        assert_eq!(gain(&figures(), Tail { without_live: 6, ..TAIL }).blocks, 6);
        let large = Tail { blocks: 1_000_000, without_live: 1_000, with_dead: 30_000, ..TAIL };
        assert_eq!(gain(&figures(), large).blocks, 1_000);
        assert_eq!(gain(&figures(), Tail { with_dead: 10_000, ..large }).blocks, 0, "indexes are left alone");
        let without_index = Figures { has_index: false, ..figures() };
        assert_eq!(gain(&without_index, Tail { with_dead: 10_000, ..large }).blocks, 1_000);
        let off = Figures { options: vec!["vacuum_truncate=false".into()], ..figures() };
        assert_eq!(gain(&off, TAIL).blocks, 0);
    }

    #[test]
    fn parts_do_not_overflow() {
        assert_eq!(part(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(part(10, 1, 0), 10);
        assert_eq!(part(10, 1, 3), 3);
    }
}
