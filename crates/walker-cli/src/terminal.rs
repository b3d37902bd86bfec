//! What the terminal can show: its size, colours and characters.

use std::env;
use std::io::{IsTerminal as _, stdout};

use ::heatmap::{Colour, Terminal};

use crate::arguments::{ColourChoice, TerminalArguments};

/// Columns where standard output is no terminal.
const DEFAULT_WIDTH: u16 = 80;
/// Lines of a picture where standard output is no terminal, and the most in one.
const DEFAULT_HEIGHT: u16 = 20;
const MOST_LINES: u16 = 32;

/// The terminal that standard output is, or one that suits a file.
pub(crate) fn detect(arguments: TerminalArguments) -> Terminal {
    let TerminalArguments { width, colour } = arguments;
    let size = rustix::termios::tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    Terminal {
        width: width.or(size.map(|size| size.ws_col)).unwrap_or(DEFAULT_WIDTH),
        // Two pictures and the shell's prompt on one screen.
        height: size.map_or(DEFAULT_HEIGHT, |size| (size.ws_row.saturating_sub(2) / 2).min(MOST_LINES)),
        colour: colours(colour, stdout().is_terminal(), variable),
        unicode: is_unicode(variable),
    }
}

/// Which colours to use. <https://no-color.org>
fn colours(choice: ColourChoice, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Colour {
    let wanted = match choice {
        ColourChoice::Never => false,
        ColourChoice::Always => true,
        ColourChoice::Auto => {
            is_terminal && variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb")
        }
    };
    match variable("COLORTERM").as_deref() {
        _ if !wanted => Colour::None,
        Some("truecolor" | "24bit") => Colour::TrueColour,
        _ => Colour::Ansi256,
    }
}

/// Whether the locale, as far as there is one, has more characters than ASCII.
fn is_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    locale.is_none_or(|locale| {
        let charset = locale.split('.').nth(1).unwrap_or_default().to_ascii_lowercase();
        charset.starts_with("utf-8") || charset.starts_with("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |asked| (asked == name).then(|| value.to_owned())
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let none = |_: &str| None;
        assert_eq!(colours(ColourChoice::Auto, true, none), Colour::Ansi256);
        assert_eq!(colours(ColourChoice::Auto, false, none), Colour::None);
        assert_eq!(colours(ColourChoice::Auto, true, only("NO_COLOR", "1")), Colour::None);
        assert_eq!(colours(ColourChoice::Auto, true, only("TERM", "dumb")), Colour::None);
        assert_eq!(colours(ColourChoice::Auto, true, only("COLORTERM", "truecolor")), Colour::TrueColour);
        assert_eq!(colours(ColourChoice::Always, false, only("NO_COLOR", "1")), Colour::Ansi256);
        assert_eq!(colours(ColourChoice::Never, true, none), Colour::None);
    }

    #[test]
    fn the_locale_says_whether_there_is_unicode() {
        assert!(is_unicode(|_| None));
        assert!(is_unicode(only("LANG", "de_DE.UTF-8")));
        assert!(is_unicode(only("LC_ALL", "C.utf8")));
        assert!(!is_unicode(only("LC_ALL", "C")));
        assert!(!is_unicode(only("LANG", "de_DE.ISO-8859-1")));
    }
}
