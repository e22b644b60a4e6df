//! One pass over the text that says which rules are worth running.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::detect;
use crate::rules::RULES;

/// Where keywords occur in a text.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    /// Indices into the rule set, ascending, each once.
    pub(crate) rules: Vec<usize>,
    /// Ends of words that name a secret, such as `password`, with the kind of value they take.
    pub(crate) names: Vec<(usize, detect::assignment::Value)>,
    /// Positions of `://`.
    pub(crate) urls: Vec<usize>,
    /// Positions of `@`.
    pub(crate) ats: Vec<usize>,
    /// Positions of `home`, `users` and their like.
    pub(crate) homes: Vec<usize>,
    /// Positions of `~`.
    pub(crate) tildes: Vec<usize>,
    /// Positions of colons behind a digit.
    pub(crate) numbered: Vec<usize>,
    /// Ends of the names of commands that take a password.
    pub(crate) commands: Vec<(usize, detect::command::Usage)>,
    /// Ends of header names that carry a credential.
    pub(crate) headers: Vec<usize>,
}

/// What a keyword stands for.
#[derive(Debug, Clone, Copy)]
enum Target {
    Rule(usize),
    Name(detect::assignment::Value),
    Url,
    At,
    Home,
    Tilde,
    Numbered,
    Command(detect::command::Usage),
    Header,
}

struct Prefilter {
    automaton: AhoCorasick,
    /// What each pattern of the automaton stands for.
    targets: Vec<Vec<Target>>,
}

static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| {
    let mut wanted: Vec<(&str, Target)> = Vec::new();
    for (index, rule) in RULES.iter().enumerate() {
        wanted.extend(
            rule.keywords
                .iter()
                .map(|word| (word.as_str(), Target::Rule(index))),
        );
    }
    wanted.extend(
        detect::assignment::NAMES
            .iter()
            .map(|(word, value)| (*word, Target::Name(*value))),
    );
    wanted.extend(
        detect::command::NAMES
            .iter()
            .map(|(word, usage)| (*word, Target::Command(*usage))),
    );
    wanted.extend(detect::home::ROOTS.iter().map(|word| (*word, Target::Home)));
    wanted.extend(
        detect::header::NAMES
            .iter()
            .map(|word| (*word, Target::Header)),
    );
    wanted.extend([
        ("://", Target::Url),
        ("@", Target::At),
        ("~", Target::Tilde),
    ]);
    wanted.extend(detect::bot_token::SIGNS.map(|sign| (sign, Target::Numbered)));
    wanted.sort_by_key(|(word, _)| *word);

    let mut words: Vec<&str> = Vec::new();
    let mut targets: Vec<Vec<Target>> = Vec::new();
    for (word, target) in wanted {
        if words.last() != Some(&word) {
            words.push(word);
            targets.push(Vec::new());
        }
        targets.last_mut().expect("pushed above").push(target);
    }
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .build(&words)
        .expect("a few hundred short keywords are far below the automaton's limits");
    Prefilter { automaton, targets }
});

/// Finds every keyword in `view`.
pub(crate) fn hits(view: &str) -> Hits {
    let mut hits = Hits::default();
    let mut seen = vec![false; RULES.len()];
    for found in PREFILTER.automaton.find_overlapping_iter(view) {
        for target in &PREFILTER.targets[found.pattern().as_usize()] {
            match *target {
                Target::Rule(index) => seen[index] = true,
                Target::Name(value) => hits.names.push((found.end(), value)),
                Target::Url => hits.urls.push(found.start()),
                Target::At => hits.ats.push(found.start()),
                Target::Home => hits.homes.push(found.start()),
                Target::Tilde => hits.tildes.push(found.start()),
                Target::Numbered => hits.numbered.push(found.end() - 1),
                Target::Command(usage) => hits.commands.push((found.end(), usage)),
                Target::Header => hits.headers.push(found.end()),
            }
        }
    }
    hits.rules = (0..seen.len()).filter(|index| seen[*index]).collect();
    hits
}

#[cfg(test)]
mod tests {
    use super::hits;
    use crate::rules::RULES;

    #[test]
    fn keywords_are_found_whatever_their_case() {
        let found = hits("See GHP_ and password= at https://x");
        let rules: Vec<&str> = found
            .rules
            .iter()
            .map(|index| RULES[*index].id.as_str())
            .collect();
        assert!(rules.contains(&"github-pat"), "{rules:?}");
        assert!(!rules.contains(&"gitlab-pat"), "{rules:?}");
        assert_eq!(found.urls.len(), 1);
        assert!(!found.names.is_empty());
    }
}
