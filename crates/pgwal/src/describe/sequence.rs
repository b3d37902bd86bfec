//! Source: `src/backend/access/rmgrdesc/seqdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::sequence::Sequence;

pub(super) fn describe(sequence: &Sequence<'_>, text: &mut String) -> fmt::Result {
    match sequence {
        Sequence::Log { relation, .. } => write!(text, "rel {relation}"),
        Sequence::Unknown => Ok(()),
    }
}
