//! Source: `src/backend/access/rmgrdesc/genericdesc.c`.

use crate::rmgr::generic::Generic;
use crate::text::{TextBuffer, append};

pub(super) fn describe(generic: &Generic<'_>, text: &mut TextBuffer) {
    for (number, region) in generic.regions.iter().enumerate() {
        let separator = if number == 0 { "" } else { "; " };
        append!(text, separator, "offset ", region.offset, ", length ", region.bytes.len());
    }
}
