//! The page's files, compiled in. What they are is checked by `include_str!`; nothing is read while it runs.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Service;

/// Where they are; nothing below is secret.
pub(super) const FOLDER: &str = "/assets/";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PAGE: &str = "text/html; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// Path, kind, content.
const FILES: [(&str, &str, &str); 14] = [
    ("/assets/style.css", STYLE, include_str!("assets/style.css")),
    ("/assets/icon.svg", PICTURE, include_str!("assets/icon.svg")),
    ("/assets/main.js", JAVASCRIPT, include_str!("assets/main.js")),
    ("/assets/api.js", JAVASCRIPT, include_str!("assets/api.js")),
    ("/assets/elements.js", JAVASCRIPT, include_str!("assets/elements.js")),
    ("/assets/numbers.js", JAVASCRIPT, include_str!("assets/numbers.js")),
    ("/assets/chart.js", JAVASCRIPT, include_str!("assets/chart.js")),
    ("/assets/theme.js", JAVASCRIPT, include_str!("assets/theme.js")),
    ("/assets/overview.js", JAVASCRIPT, include_str!("assets/overview.js")),
    ("/assets/tables.js", JAVASCRIPT, include_str!("assets/tables.js")),
    ("/assets/table.js", JAVASCRIPT, include_str!("assets/table.js")),
    ("/assets/heatmap.js", JAVASCRIPT, include_str!("assets/heatmap.js")),
    ("/assets/uplot-1.6.32.js", JAVASCRIPT, include_str!("assets/uplot-1.6.32.js")),
    ("/assets/uplot-1.6.32.css", STYLE, include_str!("assets/uplot-1.6.32.css")),
];

pub(super) fn routes() -> Router<Service> {
    let page = || async { file(PAGE, include_str!("assets/index.html")) };
    let scale = || async { ([(header::CONTENT_TYPE, JAVASCRIPT)], scale()).into_response() };
    let licence = || async { file(TEXT, include_str!("assets/uplot-LICENSE.txt")) };
    let router = Router::new()
        .route("/", get(page))
        .route("/assets/scale.js", get(scale))
        .route("/assets/uplot-LICENSE.txt", get(licence));
    FILES.into_iter().fold(router, |router, (path, kind, content)| {
        router.route(path, get(move || async move { file(kind, content) }))
    })
}

/// Where a token is asked for.
pub(super) fn login_page(status: StatusCode) -> Response {
    let page = include_str!("assets/login.html");
    let page = match status {
        StatusCode::OK => page.replace("{refused}", "hidden"),
        _ => page.replace("{refused}", ""),
    };
    (status, [(header::CONTENT_TYPE, PAGE)], page).into_response()
}

fn file(kind: &'static str, content: &'static str) -> Response {
    // Another version of the command may be asked next.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content).into_response()
}

/// The colours of all pictures of heat maps, as a module.
fn scale() -> String {
    let colours: Vec<String> =
        heatmap::scale().iter().map(|[red, green, blue]| format!("[{red}, {green}, {blue}]")).collect();
    format!("export const SCALE = [{}];\n", colours.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for (path, _, content) in FILES {
            let outside = content
                .match_indices("//")
                .filter(|(place, _)| content[..*place].ends_with("http:") || content[..*place].ends_with("https:"));
            for (place, _) in outside {
                let rest = &content[place..];
                // The name of an SVG's elements, and who wrote the charts.
                let is_name =
                    rest.starts_with("//www.w3.org/2000/svg") || rest.starts_with("//github.com/leeoniya/uPlot");
                assert!(is_name, "{path}: {}", &rest[..rest.len().min(60)]);
            }
        }
    }

    #[test]
    fn texts_of_the_database_never_become_markup() {
        for (path, _, content) in FILES.into_iter().filter(|(path, ..)| !path.contains("uplot")) {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style="] {
                assert!(!content.contains(word), "{path} has {word}");
            }
        }
    }

    #[test]
    fn all_that_the_page_names_is_there() {
        let page = include_str!("assets/index.html");
        let named = page.split('"').filter(|word| word.starts_with(FOLDER));
        let modules = FILES.iter().flat_map(|(_, _, content)| content.split('"').filter(|word| word.starts_with("./")));
        let modules = modules.map(|word| format!("{FOLDER}{}", &word[2..]));
        for path in named.map(str::to_owned).chain(modules) {
            assert!(path == "/assets/scale.js" || FILES.iter().any(|file| file.0 == path), "{path} is missing");
        }
    }

    #[test]
    fn the_scale_has_its_ends() {
        let scale = scale();
        assert!(
            scale.starts_with("export const SCALE = [[68, 1, 84], ") && scale.ends_with("[253, 231, 37]];\n"),
            "{scale}"
        );
    }
}
