//! Questions and answers as bytes: JSON for people, postcard for programs.

use walker_core::PluginError;

use crate::question::{Answer, Question, TooManyRanges};

/// First byte of questions and answers that are written by postcard, which grows with each change of theirs: backends load
/// the library anew, and the worker keeps its own until the server restarts.
const FORMAT: u8 = 1;
/// No JSON text begins with a byte below this one, a tabulator.
const JSON: u8 = 9;
/// A question that a person can ask, for the answer to one that is none.
const EXAMPLE_QUESTION: &str = "\"Position\"";

/// The bytes are no answer of a garbage map of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUnderstood {
    /// They are of another version.
    #[error("the walker runs another version of garbagemap: restart the server")]
    Version,
    /// They are damaged.
    #[error("the answer of plugin garbagemap is not understood: {0}")]
    Damaged(postcard::Error),
}

impl Question {
    /// As a program asks it. The answer is for [`Answer::from_bytes`].
    ///
    /// # Panics
    /// Never: memory is all that it takes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).unwrap_or_default()
    }
}

impl Answer {
    /// Reads what is answered to [`Question::to_bytes`].
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotUnderstood> {
        match bytes.split_first() {
            Some((&FORMAT, answer)) => postcard::from_bytes(answer).map_err(NotUnderstood::Damaged),
            _ => Err(NotUnderstood::Version),
        }
    }
}

/// Has `ask` answer the question, in the form in which it was asked.
pub(crate) fn answer(
    question: &[u8],
    ask: impl FnOnce(&Question) -> Result<Answer, TooManyRanges>,
) -> Result<Vec<u8>, PluginError> {
    if let Some((&format, question)) = question.split_first()
        && format < JSON
    {
        if format != FORMAT {
            return Err(NotUnderstood::Version.into());
        }
        let question = postcard::from_bytes(question).map_err(|error| format!("the question is damaged: {error}"))?;
        return Ok(postcard::to_extend(&ask(&question)?, vec![FORMAT])?);
    }
    let question = serde_json::from_slice(question)
        .map_err(|error| format!("the question is not understood: {error}; try {EXAMPLE_QUESTION}"))?;
    Ok(serde_json::to_vec(&ask(&question)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(_: &Question) -> Result<Answer, TooManyRanges> {
        Ok(Answer::Position(7))
    }

    #[test]
    fn the_answer_has_the_form_of_the_question() {
        assert_eq!(answer(b"\"Position\"", position).unwrap(), b"{\"Position\":7}");
        let compact = answer(&Question::Position.to_bytes(), position).unwrap();
        assert_eq!(Answer::from_bytes(&compact), Ok(Answer::Position(7)));
    }

    #[test]
    fn what_is_no_question_is_told_so() {
        assert!(answer(b"what?", position).unwrap_err().to_string().contains("try \"Position\""));
        assert!(answer(&[FORMAT, 99], position).unwrap_err().to_string().contains("damaged"));
        assert!(answer(&[], position).is_err());
        assert!(matches!(Answer::from_bytes(&[FORMAT, 99]), Err(NotUnderstood::Damaged(_))));
    }

    #[test]
    fn another_version_is_told_so() {
        assert!(answer(&[FORMAT + 1, 0], position).unwrap_err().to_string().contains("another version"));
        assert_eq!(Answer::from_bytes(&[FORMAT + 1, 0, 7]), Err(NotUnderstood::Version));
    }
}
