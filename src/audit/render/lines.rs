//! JSON with a line for each key of an object, and in its lists a line for each element: short, and still to be read and
//! compared by lines. It is written as it comes, so that a large report is not held as a tree of values as well.

use std::fmt::{Display, Write};

use serde_json::Value;

pub struct Lines {
    text: String,
    /// What stands before the next key.
    before: &'static str,
}

impl Lines {
    /// An object, behind what its document begins with.
    pub fn of(head: &str) -> Self {
        Self { text: head.to_owned(), before: "{" }
    }

    pub fn key(&mut self, key: &str, value: &Value) {
        self.put(key, value);
    }

    pub fn list(&mut self, key: &str, items: impl IntoIterator<Item = Value>) {
        self.put(key, "[");
        let mut before = "\n";
        for item in items {
            let _ = write!(self.text, "{before}{item}");
            before = ",\n";
        }
        self.text.push(']');
    }

    fn put(&mut self, key: &str, value: impl Display) {
        let _ = write!(self.text, "{}\n{}:{value}", self.before, Value::from(key));
        self.before = ",";
    }

    /// The document, with what it ends with.
    pub fn finish(mut self, tail: &str) -> String {
        self.text.push_str("\n}");
        self.text.push_str(tail);
        self.text.push('\n');
        self.text
    }
}
