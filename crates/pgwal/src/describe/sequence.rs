//! Source: `src/backend/access/rmgrdesc/seqdesc.c`.

use crate::rmgr::sequence::Sequence;
use crate::text::{TextBuffer, append};

pub(super) fn describe(sequence: &Sequence<'_>, text: &mut TextBuffer) {
    match sequence {
        Sequence::Log { relation, .. } => append!(text, "rel ", relation),
        Sequence::Unknown => {}
    }
}
