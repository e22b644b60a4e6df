//! Which text of a document stands for it as a vector.

use crate::document::Document;

/// The text to embed: all fields, problem first, since the model reads only the beginning of a long
/// one. Separate vectors for problem and solution brought no gain in any combination.
#[must_use]
pub fn embedding_text(document: &Document) -> String {
    let fields = [&document.title, &document.context, &document.solution];
    let said: Vec<&str> = fields
        .into_iter()
        .map(String::as_str)
        .filter(|f| !f.is_empty())
        .collect();
    said.join("\n")
}
