//! Source: `src/backend/access/rmgrdesc/genericdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::generic::Generic;

pub(super) fn describe(generic: &Generic<'_>, text: &mut String) -> fmt::Result {
    generic.regions.iter().enumerate().try_for_each(|(number, region)| {
        let separator = if number == 0 { "" } else { "; " };
        write!(text, "{separator}offset {}, length {}", region.offset, region.bytes.len())
    })
}
