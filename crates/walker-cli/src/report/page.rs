//! The report as one HTML page: it asks for nothing, needs no script, and follows the reader's dark or light.
//!
//! The template escapes all that is put into it.

use anyhow::{Context as _, Result};
use askama::Template;

use super::contents::Contents;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'c> {
    contents: &'c Contents,
    indexes: &'static str,
}

pub(super) fn write(contents: &Contents) -> Result<String> {
    let page = Page { contents, indexes: Contents::INDEXES }.render().context("could not write the page")?;
    Ok(page + "\n")
}
