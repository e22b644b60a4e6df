//! The form of a trace as text: what an editor opens and what `contribute` reads.

use commontrace_core::text::clean_line;

const PROBLEM: &str = "===== Problem";
const SOLUTION: &str = "===== Solution";
const END: &str = "===== End";

/// A trace as a person writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pub title: String,
    pub tags: Vec<String>,
    pub problem: String,
    pub solution: String,
}

impl Form {
    /// Writes it, with what belongs where.
    pub fn to_text(&self) -> String {
        let Self {
            title,
            tags,
            problem,
            solution,
        } = self;
        let tags = tags.join(", ");
        format!(
            "Title: {title}\nTags: {tags}\n\n{PROBLEM}: the literal error, what led to it, versions =====\n\n{problem}\n\n\
             {SOLUTION}: the cause, the fix as code, how it was checked =====\n\n{solution}\n\n\
             {END}: nothing below is read =====\n\n\
             One problem, useful to strangers: nothing of your project, no secrets, paths or names.\n\
             You will see the text as it is published and be asked before it is. Leave all empty to stop.\n"
        )
    }

    /// Reads it; the error says which part is missing.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut form = Self::default();
        let mut part = None;
        for line in text.lines() {
            if line.starts_with(END) {
                break;
            }
            if line.starts_with(PROBLEM) {
                part = Some(PROBLEM);
            } else if line.starts_with(SOLUTION) {
                part = Some(SOLUTION);
            } else {
                match part {
                    None => form.read_head(line)?,
                    Some(PROBLEM) => push(&mut form.problem, line),
                    Some(_) => push(&mut form.solution, line),
                }
            }
        }
        for text in [&mut form.problem, &mut form.solution] {
            *text = text.trim_matches('\n').trim_end().to_owned();
        }
        if part.is_none() && !form.is_empty() {
            return Err(
                "the line `===== Problem` is missing; `commontrace contribute --template` prints the form",
            );
        }
        Ok(form)
    }

    fn read_head(&mut self, line: &str) -> Result<(), &'static str> {
        if let Some(title) = line.strip_prefix("Title:") {
            self.title = clean_line(title);
        } else if let Some(tags) = line.strip_prefix("Tags:") {
            let tags = tags.split(',').map(clean_line);
            self.tags = tags.filter(|tag| !tag.is_empty()).collect();
        } else if !line.trim().is_empty() {
            return Err(
                "before `===== Problem` only lines beginning with `Title:` and `Tags:` may stand; \
                 `commontrace contribute --template` prints the form",
            );
        }
        Ok(())
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        [&self.title, &self.problem, &self.solution]
            .iter()
            .all(|text| text.trim().is_empty())
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let form = Form {
            title: "gadget fails with exit code 3".to_owned(),
            tags: vec!["gadget".to_owned(), "linux".to_owned()],
            problem: "    gadget: error 3\n\nSince version 2.".to_owned(),
            solution: "## Cause\n\nA lock.\n\n```sh\nrm lock\n```".to_owned(),
        };
        assert_eq!(Form::parse(&form.to_text()), Ok(form));
        let empty = Form::parse(&Form::default().to_text()).expect("a form");
        assert!(empty.is_empty());
    }

    #[test]
    fn what_is_no_form_is_named() {
        assert!(Form::parse("just a note").is_err());
        assert!(Form::parse("Title: a\nTags: b\n").is_err());
    }
}
