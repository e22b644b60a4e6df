//! Runs every detector over a text, merges what they found, and writes the marks.

use crate::{Finding, Kind, detect, prefilter, rules, view};

/// How the mark of a secret or an address starts; its rule's name and `]` follow.
pub(crate) const MARK_OPEN: &str = "[redacted:";

/// What stands in place of a user's name in a path.
pub(crate) const USER_MARK: &str = "[user]";

/// How sure a detector is of what it names; the lowest wins where findings overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The value's own shape says what it is.
    Shape,
    /// The place says what it is: a URL, a header, a command.
    Context,
    /// A name before the value says what it is.
    Name,
    /// Some name that often stands before a secret.
    Guess,
    /// An e-mail address.
    Email,
    /// A home directory.
    Home,
}

/// A finding before overlaps are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) rule: &'static str,
    pub(crate) kind: Kind,
    pub(crate) rank: Rank,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Finds everything in `text` that must not be shown, until a further search would find nothing.
///
/// A mark can bring something to light that its secret had hidden, so the marked text is searched again.
/// Every round covers text that no earlier round did, hence there is a last one.
pub(crate) fn find(text: &str) -> Vec<Finding> {
    let mut found = merge(pass(text));
    let mut new = found.len();
    while new > 0 {
        let (marked, pieces) = mark(text, &found);
        let more = pass(&marked);
        new = more.len();
        let known = found.into_iter().map(|finding| Candidate {
            rule: finding.rule,
            kind: finding.kind,
            rank: Rank::Shape,
            start: finding.start,
            end: finding.end,
        });
        found = merge(
            known
                .chain(
                    more.into_iter()
                        .map(|candidate| to_original(candidate, &pieces)),
                )
                .collect(),
        );
    }
    found
}

/// Writes `text` with every finding replaced by its mark.
pub(crate) fn apply(text: &str, findings: &[Finding]) -> String {
    mark(text, findings).0
}

/// A stretch of text that was copied unchanged: where it starts in the marked text and in the original.
struct Piece {
    marked: usize,
    original: usize,
}

fn mark(text: &str, findings: &[Finding]) -> (String, Vec<Piece>) {
    let mut out = String::with_capacity(text.len());
    let mut pieces = Vec::with_capacity(findings.len() + 1);
    let mut copied = 0;
    for finding in findings {
        pieces.push(Piece {
            marked: out.len(),
            original: copied,
        });
        out.push_str(&text[copied..finding.start]);
        finding.push_mark(&mut out);
        copied = finding.end;
    }
    pieces.push(Piece {
        marked: out.len(),
        original: copied,
    });
    out.push_str(&text[copied..]);
    (out, pieces)
}

/// Moves a candidate found in a marked text to where it stands in the original; it touches no mark.
fn to_original(candidate: Candidate, pieces: &[Piece]) -> Candidate {
    let next = pieces.partition_point(|piece| piece.marked <= candidate.start);
    let piece = &pieces[next - 1];
    Candidate {
        start: candidate.start - piece.marked + piece.original,
        end: candidate.end - piece.marked + piece.original,
        ..candidate
    }
}

/// Searches once. What touches a mark is left alone: a marked text must stay as it is.
fn pass(text: &str) -> Vec<Candidate> {
    let view = view::unescaped(text);
    let hits = prefilter::hits(&view);
    let mut out = Vec::new();
    for index in &hits.rules {
        rules::RULES[*index].find(&view, &mut out);
    }
    detect::assignment::find(&view, &hits.names, &mut out);
    detect::command::find(text, &view, &hits.commands, &mut out);
    detect::header::find(&view, &hits.headers, &mut out);
    detect::url::find(&view, &hits.urls, &mut out);
    detect::email::find(text, &hits.ats, &mut out);
    detect::home::find(text, &hits.homes, &mut out);
    detect::tilde::find(text, &hits.tildes, &mut out);
    detect::bot_token::find(&view, &hits.numbered, &mut out);
    if !out.is_empty() {
        let marks = marks(text);
        let touches_mark = |candidate: &Candidate| {
            let next = marks.partition_point(|(_, end)| *end <= candidate.start);
            marks
                .get(next)
                .is_some_and(|(start, _)| *start < candidate.end)
        };
        out.retain(|candidate| candidate.start < candidate.end && !touches_mark(candidate));
    }
    out
}

/// Where marks stand in `text`, in order; they cannot overlap.
fn marks(text: &str) -> Vec<(usize, usize)> {
    let secrets = text.match_indices(MARK_OPEN).filter_map(|(start, open)| {
        let name = text[start + open.len()..]
            .bytes()
            .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            .count();
        let end = start + open.len() + name;
        (text.as_bytes().get(end) == Some(&b']')).then_some((start, end + 1))
    });
    let users = text
        .match_indices(USER_MARK)
        .map(|(start, mark)| (start, start + mark.len()));
    let mut marks: Vec<_> = secrets.chain(users).collect();
    marks.sort_unstable();
    marks
}

/// Whether there is any mark in `text`.
pub(crate) fn has_mark(text: &str) -> bool {
    (text.contains(MARK_OPEN) || text.contains(USER_MARK)) && !marks(text).is_empty()
}

/// Joins overlapping candidates; the surest of them, then the longest, gives the name.
fn merge(mut candidates: Vec<Candidate>) -> Vec<Finding> {
    candidates.sort_by_key(|candidate| {
        (
            candidate.start,
            candidate.end,
            candidate.rank,
            candidate.rule,
        )
    });
    let mut groups: Vec<(Candidate, Candidate)> = Vec::new();
    for candidate in candidates {
        match groups.last_mut() {
            Some((extent, best)) if candidate.start < extent.end => {
                extent.end = extent.end.max(candidate.end);
                if sureness(&candidate) < sureness(best) {
                    *best = candidate;
                }
            }
            _ => groups.push((candidate, candidate)),
        }
    }
    let finding = |(extent, best): (Candidate, Candidate)| Finding {
        rule: best.rule,
        kind: best.kind,
        start: extent.start,
        end: extent.end,
    };
    groups.into_iter().map(finding).collect()
}

fn sureness(candidate: &Candidate) -> (Rank, std::cmp::Reverse<usize>) {
    (
        candidate.rank,
        std::cmp::Reverse(candidate.end - candidate.start),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(rule: &'static str, rank: Rank, start: usize, end: usize) -> Candidate {
        Candidate {
            rule,
            kind: Kind::Secret,
            rank,
            start,
            end,
        }
    }

    #[test]
    fn overlaps_become_one_finding_named_by_the_surest() {
        let merged = merge(vec![
            candidate("wide", Rank::Name, 0, 9),
            candidate("shape", Rank::Shape, 3, 12),
            candidate("apart", Rank::Email, 12, 14),
        ]);
        let seen: Vec<_> = merged.iter().map(|f| (f.rule, f.start, f.end)).collect();
        assert_eq!(seen, [("shape", 0, 12), ("apart", 12, 14)]);
    }

    #[test]
    fn marks_are_recognised_only_when_whole() {
        assert_eq!(
            marks("a [redacted:jwt-bare] [redacted:x y] [user]"),
            [(2, 21), (37, 43)]
        );
    }

    #[test]
    fn positions_in_a_marked_text_lead_back() {
        let text = "one SECRET two three";
        let found = [Finding {
            rule: "r",
            kind: Kind::Secret,
            start: 4,
            end: 10,
        }];
        let (marked, pieces) = mark(text, &found);
        assert_eq!(marked, "one [redacted:r] two three");
        let at = marked.find("two").expect("kept");
        let back = to_original(candidate("r", Rank::Shape, at, at + 3), &pieces);
        assert_eq!(&text[back.start..back.end], "two");
    }
}
