//! Source: `src/backend/access/rmgrdesc/gindesc.c`.

use std::fmt::{self, Write};

use crate::describe::format::Letter;
use crate::rmgr::gin::{Change, Gin, Insert, Insertion, PageFlags, SegmentAction, SegmentActionKind, SegmentActions};

pub(super) fn describe(gin: &Gin<'_>, text: &mut String) -> fmt::Result {
    match gin {
        Gin::Insert(insert) => describe_insert(insert, text),
        Gin::Split(split) => {
            write!(text, "isrootsplit: {} ", Letter(split.flags.contains(PageFlags::SPLIT_ROOT)))?;
            describe_page_kind(split.flags, text)
        }
        Gin::VacuumDataLeafPage(Change::Data(actions)) => describe_actions(actions, text),
        Gin::VacuumDataLeafPage(Change::Image(apply)) => describe_image(*apply, text),
        Gin::DeleteListPages { count, .. } => write!(text, "ndeleted: {count}"),
        Gin::CreatePostingTree(_)
        | Gin::VacuumPage
        | Gin::DeletePage(_)
        | Gin::UpdateMetaPage(_)
        | Gin::InsertListPage { .. }
        | Gin::Unknown => Ok(()),
    }
}

fn describe_page_kind(flags: PageFlags, text: &mut String) -> fmt::Result {
    let (data, leaf) = (flags.contains(PageFlags::IS_DATA), flags.contains(PageFlags::IS_LEAF));
    write!(text, "isdata: {} isleaf: {}", Letter(data), Letter(leaf))
}

fn describe_image(apply: bool, text: &mut String) -> fmt::Result {
    text.write_str(if apply { " (full page image)" } else { " (full page image, for WAL verification)" })
}

fn describe_insert(insert: &Insert<'_>, text: &mut String) -> fmt::Result {
    describe_page_kind(insert.flags, text)?;
    if let Some((left, right)) = insert.children {
        write!(text, " children: {left}/{right}")?;
    }
    match &insert.change {
        Change::Image(apply) => describe_image(*apply, text),
        Change::Data(Insertion::Entry { replaces, .. }) => write!(text, " isdelete: {}", Letter(*replaces)),
        Change::Data(Insertion::DataLeaf(actions)) => describe_actions(actions, text),
        Change::Data(Insertion::DataInternal { child, key: (block, offset), .. }) => {
            write!(text, " pitem: {child}-{block}/{offset}")
        }
    }
}

/// Source: `desc_recompress_leaf`.
fn describe_actions(actions: &SegmentActions<'_>, text: &mut String) -> fmt::Result {
    write!(text, " {} segments:", actions.count)?;
    actions.list.iter().try_for_each(|SegmentAction { segment, kind }| match kind {
        SegmentActionKind::AddItems(count) => write!(text, " {segment} (add {count} items)"),
        SegmentActionKind::Delete => write!(text, " {segment} (delete)"),
        SegmentActionKind::Insert(_) => write!(text, " {segment} (insert)"),
        SegmentActionKind::Replace(_) => write!(text, " {segment} (replace)"),
        SegmentActionKind::Unknown(kind) => write!(text, " {segment} unknown action {kind} ???"),
    })
}
