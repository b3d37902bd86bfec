//! Source: `src/backend/access/rmgrdesc/mxactdesc.c`.

use crate::rmgr::multixact::{Member, MultiXact};
use crate::text::{TextBuffer, append};

pub(super) fn describe(multixact: &MultiXact, text: &mut TextBuffer) {
    match multixact {
        MultiXact::ZeroOffsetsPage(page) | MultiXact::ZeroMembersPage(page) => append!(text, page),
        MultiXact::Create(create) => {
            append!(text, create.id, " offset ", create.offset, " nmembers ", create.members.len(), ": ");
            for member in &create.members {
                append!(text, member.xid, " (", status(member), ") ");
            }
        }
        MultiXact::Truncate(truncate) => {
            let ((first, behind), (first_member, behind_members)) = (truncate.sets, truncate.members);
            append!(text, "offsets [", first, ", ", behind, "), members [", first_member, ", ", behind_members, ")");
        }
        MultiXact::Unknown => {}
    }
}

fn status(member: &Member) -> &'static str {
    match member.status {
        0 => "keysh",
        1 => "sh",
        2 => "fornokeyupd",
        3 => "forupd",
        4 => "nokeyupd",
        5 => "upd",
        _ => "unk",
    }
}
