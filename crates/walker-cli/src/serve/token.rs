//! The secret that opens the page where it can be reached from other machines.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Error, Result};
use subtle::ConstantTimeEq as _;

use crate::exit::{Hinted, system_message, warn};

/// The environment variable that may hold it.
const VARIABLE: &str = "WALKER_SERVE_TOKEN";
/// Shorter ones could be guessed.
const SHORTEST: usize = 16;

/// A secret. It is never shown, not even by its length.
pub(super) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token")
    }
}

impl Token {
    /// From the file, or else from the environment; `None` where neither has one.
    pub(super) fn find(file: Option<&Path>) -> Result<Option<Self>> {
        match file {
            Some(file) => Self::read(file).map(Some),
            None => match env::var(VARIABLE) {
                Ok(text) => Self::new(&text).with_context(|| format!("{VARIABLE} holds no usable token")).map(Some),
                Err(env::VarError::NotPresent) => Ok(None),
                Err(env::VarError::NotUnicode(_)) => Err(Error::msg(format!("{VARIABLE} is not UTF-8"))),
            },
        }
    }

    fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let could_not_read =
            |error| Error::msg(format!("could not read token file \"{name}\": {}", system_message(&error)));
        let text = fs::read_to_string(file).map_err(could_not_read)?;
        let mode = fs::metadata(file).map_err(could_not_read)?.permissions().mode();
        if mode & 0o077 != 0 {
            warn(&format!("token file \"{name}\" can be read by others; permissions should be u=rw (0600) or less"));
        }
        Self::new(&text).with_context(|| format!("token file \"{name}\" holds no usable token"))
    }

    fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        let hint = "Make one with: openssl rand -hex 24";
        if text.len() < SHORTEST {
            return Err(Hinted::error(format!("a token must have at least {SHORTEST} characters"), hint));
        }
        // It travels in a header.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Hinted::error("a token must be one word of ASCII characters", hint));
        }
        Ok(Self(text.to_owned()))
    }

    /// A secret that nobody knows before: what a browser shows instead of the token once it was told.
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| Error::msg(format!("there are no random bytes: {error}")))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The secret itself, for those who have shown that they know the token.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is this one. How long that takes tells nothing but its length.
    pub(super) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_of_it_is_it() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0", "0123456789abcdee", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!token.is(wrong), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_refused() {
        for wrong in ["", "secret", "0123456789 abcdef", "0123456789abcdéf"] {
            assert!(Token::new(wrong).is_err(), "{wrong}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "short\n").unwrap();
        let error = format!("{:#}", Token::find(Some(&path)).unwrap_err());
        assert!(error.ends_with("holds no usable token: a token must have at least 16 characters"), "{error}");
        let error = Token::find(Some(&directory.path().join("none"))).unwrap_err().to_string();
        assert!(error.ends_with("none\": No such file or directory"), "{error}");
    }

    #[test]
    fn random_ones_differ() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert!(one.reveal().len() == 64 && !one.is(other.reveal()));
    }
}
