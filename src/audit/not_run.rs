//! Why something could not be judged.

use std::fmt;

/// A reason, in words, and whether the audit is to blame: then it has not done what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRun {
    /// It was not given what it would look at: a scope, a part of an export, the value of a placeholder, events.
    NotGiven(String),
    /// What it looks at could not be read: an answer of 500, a thing without a name, a value of another type.
    Failed(String),
}

impl NotRun {
    pub fn why(&self) -> &str {
        match self {
            Self::NotGiven(why) | Self::Failed(why) => why,
        }
    }

    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// The same, in other words.
    pub fn map(&self, words: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::NotGiven(why) => Self::NotGiven(words(why)),
            Self::Failed(why) => Self::Failed(words(why)),
        }
    }
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

impl From<&str> for NotRun {
    fn from(why: &str) -> Self {
        Self::NotGiven(why.to_owned())
    }
}

impl From<&NotRun> for NotRun {
    fn from(why: &NotRun) -> Self {
        why.clone()
    }
}
