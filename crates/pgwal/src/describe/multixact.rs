//! Source: `src/backend/access/rmgrdesc/mxactdesc.c`.

use std::fmt::{self, Write};

use crate::rmgr::multixact::{Member, MultiXact};

pub(super) fn describe(multixact: &MultiXact, text: &mut String) -> fmt::Result {
    match multixact {
        MultiXact::ZeroOffsetsPage(page) | MultiXact::ZeroMembersPage(page) => write!(text, "{page}"),
        MultiXact::Create(create) => {
            write!(text, "{} offset {} nmembers {}: ", create.id, create.offset, create.members.len())?;
            create.members.iter().try_for_each(|member| write!(text, "{} ({}) ", member.xid, status(member)))
        }
        MultiXact::Truncate(truncate) => {
            let ((first, behind), (first_member, behind_members)) = (truncate.sets, truncate.members);
            write!(text, "offsets [{first}, {behind}), members [{first_member}, {behind_members})")
        }
        MultiXact::Unknown => Ok(()),
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
