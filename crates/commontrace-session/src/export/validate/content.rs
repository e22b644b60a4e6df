//! What a message or an observation holds: a text, or parts of text and images.

use serde_json::Value;

use super::{Check, at};

impl Check {
    /// A text, or since 1.6 parts of text and images.
    pub(super) fn content(&mut self, value: &Value, path: &str) {
        let parts = match value {
            Value::String(_) => return,
            Value::Array(parts) if self.minor >= 6 => parts,
            Value::Array(_) => {
                return self.broken(path, "can be a list of parts since version 1.6 only");
            }
            _ => return self.broken(path, "must be a string or a list of parts"),
        };
        for (number, part) in parts.iter().enumerate() {
            let path = format!("{path}[{number}]");
            let Some(part) = self.object(part, &path, &[("type", 6), ("text", 6), ("source", 6)])
            else {
                continue;
            };
            let has = |name: &str| part.get(name).is_some_and(|value| !value.is_null());
            match part.get("type").and_then(Value::as_str) {
                Some("text") => {
                    self.text(part, &path, "text", true);
                    if has("source") {
                        self.broken(&at(&path, "source"), "cannot be in a part of text");
                    }
                }
                Some("image") => {
                    if has("text") {
                        self.broken(&at(&path, "text"), "cannot be in a part with an image");
                    }
                    self.image(part.get("source"), &at(&path, "source"));
                }
                _ => self.broken(&at(&path, "type"), "must be text or image"),
            }
        }
    }

    fn image(&mut self, source: Option<&Value>, path: &str) {
        let Some(source) = source else {
            self.broken(path, "is required");
            return;
        };
        let Some(source) = self.object(source, path, &[("media_type", 6), ("path", 6)]) else {
            return;
        };
        self.text(source, path, "path", true);
        let kind = self.text(source, path, "media_type", true);
        if kind.is_some_and(|kind| {
            !matches!(
                kind,
                "image/jpeg" | "image/png" | "image/gif" | "image/webp"
            )
        }) {
            self.broken(
                &at(path, "media_type"),
                "must be image/jpeg, image/png, image/gif or image/webp",
            );
        }
    }
}
