//! Source: `src/backend/access/rmgrdesc/gindesc.c`.

use crate::describe::format::Letter;
use crate::rmgr::gin::{Change, Gin, Insert, Insertion, PageFlags, SegmentAction, SegmentActionKind, SegmentActions};
use crate::text::{TextBuffer, append};

pub(super) fn describe(gin: &Gin<'_>, text: &mut TextBuffer) {
    match gin {
        Gin::Insert(insert) => describe_insert(insert, text),
        Gin::Split(split) => {
            append!(text, "isrootsplit: ", Letter(split.flags.contains(PageFlags::SPLIT_ROOT)), " ");
            describe_page_kind(split.flags, text);
        }
        Gin::VacuumDataLeafPage(Change::Data(actions)) => describe_actions(actions, text),
        Gin::VacuumDataLeafPage(Change::Image(apply)) => describe_image(*apply, text),
        Gin::DeleteListPages { count, .. } => append!(text, "ndeleted: ", count),
        Gin::CreatePostingTree(_)
        | Gin::VacuumPage
        | Gin::DeletePage(_)
        | Gin::UpdateMetaPage(_)
        | Gin::InsertListPage { .. }
        | Gin::Unknown => {}
    }
}

fn describe_page_kind(flags: PageFlags, text: &mut TextBuffer) {
    let (data, leaf) = (flags.contains(PageFlags::IS_DATA), flags.contains(PageFlags::IS_LEAF));
    append!(text, "isdata: ", Letter(data), " isleaf: ", Letter(leaf));
}

fn describe_image(apply: bool, text: &mut TextBuffer) {
    append!(text, if apply { " (full page image)" } else { " (full page image, for WAL verification)" });
}

fn describe_insert(insert: &Insert<'_>, text: &mut TextBuffer) {
    describe_page_kind(insert.flags, text);
    if let Some((left, right)) = insert.children {
        append!(text, " children: ", left, "/", right);
    }
    match &insert.change {
        Change::Image(apply) => describe_image(*apply, text),
        Change::Data(Insertion::Entry { replaces, .. }) => append!(text, " isdelete: ", Letter(*replaces)),
        Change::Data(Insertion::DataLeaf(actions)) => describe_actions(actions, text),
        Change::Data(Insertion::DataInternal { child, key: (block, offset), .. }) => {
            append!(text, " pitem: ", child, "-", block, "/", offset);
        }
    }
}

/// Source: `desc_recompress_leaf`.
fn describe_actions(actions: &SegmentActions<'_>, text: &mut TextBuffer) {
    append!(text, " ", actions.count, " segments:");
    actions.list.iter().for_each(|SegmentAction { segment, kind }| match kind {
        SegmentActionKind::AddItems(count) => append!(text, " ", segment, " (add ", count, " items)"),
        SegmentActionKind::Delete => append!(text, " ", segment, " (delete)"),
        SegmentActionKind::Insert(_) => append!(text, " ", segment, " (insert)"),
        SegmentActionKind::Replace(_) => append!(text, " ", segment, " (replace)"),
        SegmentActionKind::Unknown(kind) => append!(text, " ", segment, " unknown action ", kind, " ???"),
    })
}
