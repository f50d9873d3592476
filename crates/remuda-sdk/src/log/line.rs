//! Fields as text.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};

/// A message, then its fields: `took long path=/items ms=7`
pub(super) struct Line {
    message: String,
    fields: String,
}

impl Line {
    pub(super) fn new(message: &str) -> Self {
        Self { message: message.to_owned(), fields: String::new() }
    }

    pub(super) fn into_text(self) -> String {
        let text = match (self.message.is_empty(), self.fields.trim_start()) {
            (true, fields) => fields.to_owned(),
            (false, _) => self.message + &self.fields,
        };
        one_line(&text)
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let _ = write!(self.fields, " {}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

/// The server takes each line for an event.
pub(super) fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}
