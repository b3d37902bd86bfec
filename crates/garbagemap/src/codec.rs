//! Questions and answers as bytes: JSON for people, postcard for programs.

use walker_core::PluginError;

use crate::question::{Answer, Question, TooManyRanges};

/// First byte of a question that is written by postcard: no JSON text begins with it.
const COMPACT: u8 = 0;
/// A question that a person can ask, for the answer to one that is none.
const EXAMPLE_QUESTION: &str = "\"Position\"";

/// The bytes are no answer of a garbage map of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer of plugin garbagemap is not understood: {0}")]
pub struct NotUnderstood(postcard::Error);

impl Question {
    /// As a program asks it. The answer is for [`Answer::from_bytes`].
    ///
    /// # Panics
    /// Never: memory is all that it takes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![COMPACT]).unwrap_or_default()
    }
}

impl Answer {
    /// Reads what is answered to [`Question::to_bytes`].
    ///
    /// # Errors
    /// If it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotUnderstood> {
        postcard::from_bytes(bytes).map_err(NotUnderstood)
    }
}

/// Has `ask` answer the question, in the form in which it was asked.
pub(crate) fn answer(
    question: &[u8],
    ask: impl FnOnce(&Question) -> Result<Answer, TooManyRanges>,
) -> Result<Vec<u8>, PluginError> {
    if let Some((&COMPACT, question)) = question.split_first() {
        let question = postcard::from_bytes(question).map_err(|error| format!("the question is damaged: {error}"))?;
        return Ok(postcard::to_stdvec(&ask(&question)?)?);
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
        assert!(answer(&[COMPACT, 99], position).unwrap_err().to_string().contains("damaged"));
        assert!(answer(&[], position).is_err());
        assert!(Answer::from_bytes(&[99]).is_err());
    }
}
