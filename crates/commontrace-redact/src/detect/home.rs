//! User names in paths of home directories: `/home/NAME`, `/Users/NAME`, `C:\Users\NAME`.
//!
//! Only the name is replaced; the rest of the path tells what a reader needs. Names that belong to nobody
//! (`ubuntu`, `runner`, `user`) stay. Also known: doubled backslashes, `%2F`, `file://`, WSL and Cygwin
//! mounts, and the dashed folder names coding agents derive from a path (`-home-NAME-src`).

use crate::Kind;
use crate::placeholder::is_listed;
use crate::scan::{Candidate, Rank};
use crate::view::{head, tail};

/// The folders that hold home directories.
pub(crate) const ROOTS: [&str; 3] = ["home", "users", "documents and settings"];

/// Adds the names in the paths whose root folder starts at one of `positions`.
pub(crate) fn find(text: &str, positions: &[usize], out: &mut Vec<Candidate>) {
    for at in positions {
        if let Some((start, end)) = name(text, *at) {
            out.push(Candidate {
                rule: "home-path",
                kind: Kind::HomePath,
                rank: Rank::Home,
                start,
                end,
            });
        }
    }
}

fn name(text: &str, at: usize) -> Option<(usize, usize)> {
    let (before, rest) = (text.get(..at)?, text.get(at..)?);
    let root = ROOTS.iter().find(|root| {
        rest.get(..root.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(root))
    })?;
    let after = &rest[root.len()..];
    let path = before.trim_end_matches(['/', '\\']);
    let (style, separators) = if path.len() < before.len() && before.len() - path.len() <= 4 {
        (
            slash_style(path, &rest[..root.len()], before.ends_with('\\'))?,
            after.len() - after.trim_start_matches(['/', '\\']).len(),
        )
    } else if let Some(path) = strip_encoded_slash(before) {
        (
            slash_style(path, &rest[..root.len()], false)?,
            if starts_with_encoded_slash(after) {
                3
            } else {
                0
            },
        )
    } else {
        (
            dashed_style(before, rest, root.len())?,
            usize::from(after.starts_with('-')),
        )
    };
    if !(1..=4).contains(&separators) {
        return None;
    }
    let name = name_at(&after[separators..], style);
    let start = at + root.len() + separators;
    (!name.is_empty() && !is_nobody(name)).then_some((start, start + name.len()))
}

/// How far a name may reach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Unix,
    /// Spaces are allowed where a backslash follows, or a slash after words with capitals.
    Windows,
    /// Ends at a dash.
    Dashed,
}

/// Tells by what stands before `/home` or `\Users` whether that is a root of home directories.
fn slash_style(path: &str, root: &str, backslash: bool) -> Option<Style> {
    let on_drive = path.ends_with(':')
        && path[..path.len() - 1].ends_with(|c: char| c.is_ascii_alphabetic())
        || ends_with_any(path, &["%3A", "%3a"]);
    if on_drive && !path.ends_with("file:") {
        return Some(if root.eq_ignore_ascii_case("home") {
            Style::Unix
        } else {
            Style::Windows
        });
    }
    let at_start = is_path_start(path);
    match root {
        "home" if backslash => is_remote(path).then_some(Style::Unix),
        "home" => {
            let is_root = at_start
                || ends_with_any(path, &["/var", "/export", "/usr", "/private", "/host_mnt"])
                || is_remote(path);
            is_root.then_some(Style::Unix)
        }
        "Users" | "users" if is_mounted_drive(path) => Some(Style::Windows),
        "Users" if !backslash => (at_start
            || ends_with_any(path, &["/System/Volumes/Data", "/host_mnt", "/private"]))
        .then_some(Style::Unix),
        _ => None,
    }
}

/// Whether a path can start where `before` ends: not within another path, a URL or an expression.
pub(super) fn is_path_start(before: &str) -> bool {
    let after_escape = ends_with_any(before, &["\\n", "\\t", "\\r"]);
    let goes_on = before.ends_with(|c: char| c.is_alphanumeric() || "_.~-})]*$@%>".contains(c));
    after_escape || !goes_on
}

/// Whether `path` names a file system of WSL or of a remote editor.
fn is_remote(path: &str) -> bool {
    let path = tail(path, 60).to_ascii_lowercase();
    let host = path.rsplit(char::is_whitespace).next().unwrap_or("");
    [
        "wsl$",
        "wsl.localhost",
        "wsl+",
        "ssh-remote+",
        "ssh-remote%2b",
        "wsl%2b",
    ]
    .iter()
    .any(|name| host.contains(name))
}

/// Whether `path` is `/c`, `/mnt/c`, `/cygdrive/c` or `/host_mnt/c`.
fn is_mounted_drive(path: &str) -> bool {
    let Some(parent) = path
        .strip_suffix(|c: char| c.is_ascii_alphabetic())
        .and_then(|parent| parent.strip_suffix('/'))
    else {
        return false;
    };
    ends_with_any(parent, &["/mnt", "/cygdrive", "/host_mnt"])
        || !parent.ends_with(|c: char| {
            c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '}' | ')')
        })
}

/// Tells whether a dash before `home` starts a folder name such as `-home-mira-src` or `C--Users-mira-src`.
fn dashed_style(before: &str, rest: &str, root: usize) -> Option<Style> {
    let parent = before.strip_suffix('-')?;
    let is_folder_start = |parent: &str| {
        parent.is_empty()
            || parent.ends_with(['/', '\\', '"', '\'', '`', '\n'])
            || ends_with_any(parent, &["\\n", "\\r", "\\t"])
            // In a sentence or a command, an option could begin so: `-home-url`.
            || (parent.ends_with(|c: char| c.is_whitespace() || "=:,;([{|>".contains(c))
                && is_folder(rest, root))
    };
    let on_drive = || {
        let parent = parent.strip_suffix('-')?;
        parent
            .strip_suffix(|c: char| c.is_ascii_alphabetic())
            .filter(|parent| is_folder_start(parent))
    };
    let is_root = matches!(&rest[..root], "home" | "Users");
    (is_root && (is_folder_start(mount(parent)) || on_drive().is_some())).then_some(Style::Dashed)
}

/// Whether what begins with a root of home directories goes on as the folder of a user does: `Users-mira`,
/// `home-mira-src`.
fn is_folder(rest: &str, root: usize) -> bool {
    let is_folder = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    let folder = head(&rest[root..], 256).split(|c| !is_folder(c)).next();
    let mut words = folder.unwrap_or("").split('-');
    let named = words.next() == Some("") && words.next().is_some_and(|name| !name.is_empty());
    named && (rest.starts_with("Users") || words.next().is_some_and(|next| !next.is_empty()))
}

/// What stands before a mount point in the name of a folder: `-mnt-c` of `-mnt-c-Users-mira-src`.
fn mount(parent: &str) -> &str {
    let drive = parent.strip_suffix(|c: char| c.is_ascii_alphabetic());
    let on_drive = ["-mnt-", "-cygdrive-", "-host-mnt-"]
        .iter()
        .find_map(|mount| drive?.strip_suffix(mount));
    let mounts = ["-var", "-export", "-private", "-System-Volumes-Data"];
    on_drive
        .or_else(|| mounts.iter().find_map(|mount| parent.strip_suffix(mount)))
        .unwrap_or(parent)
}

fn strip_encoded_slash(before: &str) -> Option<&str> {
    let path = before.get(..before.len().checked_sub(3)?)?;
    starts_with_encoded_slash(&before[path.len()..]).then_some(path)
}

fn starts_with_encoded_slash(text: &str) -> bool {
    ["%2F", "%2f", "%5C", "%5c"]
        .iter()
        .any(|slash| text.starts_with(slash))
}

fn ends_with_any(text: &str, ends: &[&str]) -> bool {
    ends.iter().any(|end| text.ends_with(end))
}

fn name_at(rest: &str, style: Style) -> &str {
    const LONGEST: usize = 64;
    let rest = head(rest, 4 * LONGEST);
    let is_name = |c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '.') || (c == '-' && style != Style::Dashed)
    };
    if !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return "";
    }
    let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
    let spaced = rest
        .find(|c: char| !(is_name(c) || c == ' '))
        .unwrap_or(rest.len());
    let is_spaced = style == Style::Windows
        && spaced > end
        && (rest[spaced..].starts_with('\\')
            || (rest[spaced..].starts_with('/') && is_full_name(&rest[..spaced])));
    let end = if is_spaced { spaced } else { end };
    let end = end + short_name_mark(&rest[end..], style);
    if end > LONGEST {
        ""
    } else {
        rest[..end].trim_end_matches(['.', '-', ' '])
    }
}

/// Whether words are those of a person's name and not `mira src`, where another path follows.
fn is_full_name(words: &str) -> bool {
    words.split(' ').count() <= 4
        && words
            .split(' ')
            .all(|word| word.starts_with(char::is_uppercase))
}

/// The length of the `~1` of a Windows short name.
fn short_name_mark(rest: &str, style: Style) -> usize {
    let is_mark = style == Style::Windows
        && rest.starts_with('~')
        && rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if is_mark { 2 } else { 0 }
}

/// Names of no person: stock accounts, service users, and what manuals write for "you".
pub(super) fn is_nobody(name: &str) -> bool {
    const NOBODY: &str = "\
        abc abcd about acer admin administrator agent airflow all_users alpine apache app \
        appuser appveyor arch archive assistant asus azureuser backup backups bar benutzer \
        bitnami blah brew build builder buildkite-agent bun centos ci circleci claude cloud-user coder \
        codespace codex contact core cursor dashboard database debian default default_user \
        defaultuser0 dell demo deno deploy deployer desktop details dev developer devuser dir \
        directory docker download downloads ec2-user error example exampleuser family fedora \
        feeds folder folder1 folder2 folder_name foo foo2 frappe git gitea github gitlab \
        gitlab-runner gitpod guest hadoop homebrew hp index items jane.doe jbloggs jdoe \
        jenkins john.doe johndoe jovyan lenovo linuxbrew login main me mine my my-user my.name \
        my_dir myfolder myhome myname mysql myuser myusername mywebsite name nginx nobody node \
        nom nonroot odoo opc oracle owner page path pc pdf pi postgres privacy public redis \
        rocky root runner runneradmin runneruser sandbox shared some-user some_user somebody \
        someone someuser spark sshtunnel steam temp test tester testuser tmp toshiba travis \
        ubuntu user user-name user1 user123 user2 user_name username username1 users usuario \
        utente utilisateur vagrant view vmail vscode vssadministrator vsts web-server www \
        www-data www-user x xxx xyz y you your your-name your-user your-username your_name \
        your_user your_username yourname youruser yourusername z";
    /// `/home/index.html` is a page.
    const FILE_ENDINGS: &str =
        "asp aspx css csv html htm js json jsp jsx md pdf php png py sh svg ts tsx txt vue xml yml";
    let lower = name.to_ascii_lowercase();
    let is_file = lower
        .rsplit_once('.')
        .is_some_and(|(_, end)| is_listed(FILE_ENDINGS, end));
    is_file
        || is_listed(NOBODY, &lower.replace(' ', "_"))
        || lower.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn the_name_goes_and_the_path_stays() {
        let cases = [
            ("/home/mira/src/app.py", "/home/[user]/src/app.py"),
            ("cd /Users/mira.holt", "cd /Users/[user]"),
            (r"C:\Users\Mira Holt\AppData", r"C:\Users\[user]\AppData"),
            ("C:/Users/John Smith/project", "C:/Users/[user]/project"),
            ("/mnt/c/Users/Mira Ann Holt/x", "/mnt/c/Users/[user]/x"),
            (
                "cp C:/Users/mira src/main.rs C:/Users/Mira to/",
                "cp C:/Users/[user] src/main.rs C:/Users/[user] to/",
            ),
            (r"C:\Users\MIRAH~1\Temp", r"C:\Users\[user]\Temp"),
            (
                "vscode-remote://wsl+ubuntu/home/mira/x",
                "vscode-remote://wsl+ubuntu/home/[user]/x",
            ),
            (r"C:\\Users\\mira\\x", r"C:\\Users\\[user]\\x"),
            ("c:/users/mira/x", "c:/users/[user]/x"),
            (
                "file:///home/mira/x and file:///C:/Users/mira",
                "file:///home/[user]/x and file:///C:/Users/[user]",
            ),
            (
                "~/.claude/projects/-home-mira-src-app/x.jsonl",
                "~/.claude/projects/-home-[user]-src-app/x.jsonl",
            ),
            (
                "ls: -home-mira-src-app and -Users-mira\n-home-mira",
                "ls: -home-[user]-src-app and -Users-[user]\n-home-[user]",
            ),
            (
                "cwd=-mnt-c-Users-mira-src, -var-home-mira-src",
                "cwd=-mnt-c-Users-[user]-src, -var-home-[user]-src",
            ),
            (
                r"projects\C--Users-mira-src",
                r"projects\C--Users-[user]-src",
            ),
            ("/mnt/c/Users/mira/x", "/mnt/c/Users/[user]/x"),
            ("path=%2Fhome%2Fmira%2Fx", "path=%2Fhome%2F[user]%2Fx"),
            (
                "/var/home/mira: no such file",
                "/var/home/[user]: no such file",
            ),
            (r"\\wsl$\Ubuntu\home\mira\x", r"\\wsl$\Ubuntu\home\[user]\x"),
            (r"not found\n/Users/mira/x", r"not found\n/Users/[user]/x"),
            ("host:/home/žofie.", "host:/home/[user]."),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text).text, expected, "{text}");
        }
    }

    #[test]
    fn paths_of_nobody_and_other_homes_are_left_alone() {
        for text in [
            "/root/.ssh",
            "/home/user/x /home/runner/work /home/ubuntu",
            "/Users/Shared /Users/<name>/x",
            "/home/$USER/x /home/${USER} /home/*/x",
            "https://x.org/home/news/1 and GET /users/42",
            "src/home/menu.tsx ./home/menu",
            "-home-dir foo take-home-test-2",
            "java -home-url x, -home-mira y, take-Users-list -mnt-x-home-test",
            "$JAVA_HOME/bin",
            "home/mira",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}
