//! User names in home directories as a shell writes them: `~mira/src`.
//!
//! A tilde stands for much else: `HEAD~2/`, `~1/` in JSON pointers, `~r/…/` in Elixir, `~bootstrap/scss` where
//! a bundler imports a package. Names of one letter, capitals and what is imported are left alone.

use super::home::{is_nobody, is_path_start};
use crate::Kind;
use crate::scan::{Candidate, Rank};
use crate::view::{head, tail};

/// Names of users are this long at most.
const LONGEST: usize = 32;

/// Adds the names behind the tildes at `positions`.
pub(crate) fn find(text: &str, positions: &[usize], out: &mut Vec<Candidate>) {
    for at in positions {
        if let Some(name) = name(&text[..*at], &text[at + 1..]) {
            out.push(Candidate {
                rule: "home-path",
                kind: Kind::HomePath,
                rank: Rank::Home,
                start: at + 1,
                end: at + 1 + name.len(),
            });
        }
    }
}

fn name<'t>(before: &str, rest: &'t str) -> Option<&'t str> {
    let is_name =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    let name = head(rest, LONGEST + 1).split(|c| !is_name(c)).next()?;
    let goes_on = rest[name.len()..].starts_with(['/', '\\']);
    let fits = (2..=LONGEST).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let starts =
        is_path_start(before) && !before.ends_with(['/', '\\', '!', '=', '?']) || assigns(before);
    (fits && goes_on && starts && !is_nobody(name) && !is_package(name) && !imports(before))
        .then_some(name)
}

/// Whether a value begins here, `DIR=~mira/src`, and not Perl's `=~tr/a/b/`.
fn assigns(before: &str) -> bool {
    let name = before.strip_suffix('=').unwrap_or("");
    name.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// What projects name folders of theirs that a bundler finds by a tilde, and Perl's and Elixir's operators.
fn is_package(name: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "assets",
        "components",
        "composables",
        "css",
        "fonts",
        "icons",
        "images",
        "img",
        "layouts",
        "lib",
        "locales",
        "middleware",
        "node_modules",
        "pages",
        "plugins",
        "scss",
        "src",
        "static",
        "store",
        "stores",
        "styles",
        "types",
        "utils",
        "views",
        "bootstrap",
        "tr",
        "qr",
    ];
    FOLDERS.contains(&name)
}

/// Whether what follows is the name of a module: `import "~`, `url(~`, `require('~`.
fn imports(before: &str) -> bool {
    let before = tail(before, 24).trim_end_matches(['"', '\'', '`', '(', ' ', '\\']);
    [
        "import", "from", "require", "url", "use", "forward", "resolve",
    ]
    .iter()
    .any(|word| before.ends_with(word))
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn the_name_behind_a_tilde_goes() {
        for (text, expected) in [
            ("cat ~mira/src/x.py", "cat ~[user]/src/x.py"),
            ("DIR=~mira-h/src", "DIR=~[user]/src"),
            (r#"{"cwd": "~mira/src"}"#, r#"{"cwd": "~[user]/src"}"#),
            ("host:~mira/x and\n~holt/y", "host:~[user]/x and\n~[user]/y"),
            (r"done\n~mira/x", r"done\n~[user]/x"),
        ] {
            assert_eq!(redact(text).text, expected, "{text}");
        }
    }

    #[test]
    fn other_tildes_are_left_alone() {
        for text in [
            "~/src ~1/ HEAD~2/ main~3/x v1.0~rc1/x file~/",
            "/paths/~1users~1{id}/get and a~b/c",
            "~user/x ~root/x ~ubuntu/.ssh",
            "@import '~bootstrap/scss/grid'; url(~leaflet/dist/a.png) import x from \"~mylib/x\"",
            "$x =~ s/a/b/; $x =~tr/a/b/; ~r/abc/ ~w/a b/ ~S/x/",
            "about ~ten per day, ~half",
            "https://people.org/~mira/page",
            "src=\"~assets/logo.png\" ~Foo/",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}
