//! Leaves out of a query where things are: folders above the project, private addresses, names of hosts that only
//! somebody's network knows, and what follows a host in an address.

/// Ends of names that only a private network knows.
const PRIVATE: [&str; 10] = [
    ".local",
    ".internal",
    ".lan",
    ".corp",
    ".intranet",
    ".home",
    ".private",
    ".localdomain",
    ".test",
    ".home.arpa",
];

/// Replaces places in a text word by word; white space stays.
pub fn without(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_at = rest
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(rest.len());
        out.push_str(&rest[..word_at]);
        rest = &rest[word_at..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        word(&rest[..end], &mut out);
        rest = &rest[end..];
    }
    out
}

/// Writes a word without its place. What stands around it, quotes and brackets, stays.
fn word(word: &str, out: &mut String) {
    const OPEN: [char; 8] = ['"', '\'', '(', '[', '<', '{', '`', '='];
    // `key="/a/b"` and `(/a/b)`: the place begins behind the last sign of these before the first slash or at.
    let first = word.find(['/', '\\', '@']).unwrap_or(word.len());
    let start = word[..first].rfind(OPEN).map_or(0, |at| at + 1);
    let (before, place) = word.split_at(start);
    let end = place
        .find(['"', '\'', ')', ']', '>', '}', '`', ',', ';'])
        .unwrap_or(place.len());
    let (place, after) = place.split_at(end);
    out.push_str(before);
    match address(place)
        .or_else(|| remote(place))
        .or_else(|| path(place))
        .or_else(|| host(place))
    {
        Some(short) => out.push_str(&short),
        None => out.push_str(place),
    }
    if after.contains(['/', '\\', '@']) && !after[1..].is_empty() {
        out.push_str(&after[..1]);
        self::word(&after[1..], out);
    } else {
        out.push_str(after);
    }
}

/// `https://host/more` becomes `https://host`, or loses the host too.
fn address(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b));
    is_scheme.then_some(())?;
    if scheme == "file" {
        return Some(format!("file://{}", last(rest)));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = authority.rsplit('@').next().unwrap_or_default();
    Some(match is_known(name) {
        true => format!("{scheme}://{name}"),
        false => format!("{scheme}://<host>"),
    })
}

/// `git@host:owner/repository` becomes `<remote>`.
fn remote(text: &str) -> Option<String> {
    let (user, rest) = text.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    // `package@1.0:` is none.
    (plain(user)
        && plain(host)
        && host.starts_with(|c: char| c.is_ascii_alphabetic())
        && path.contains(['/', '.']))
    .then(|| "<remote>".to_owned())
}

/// `/a/b/c.py:3` becomes `c.py:3`.
fn path(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let drive = bytes.len() > 3
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && b"\\/".contains(&bytes[2]);
    let is_absolute = drive || (text.starts_with('/') && text[1..].contains('/'));
    // What lies above the project is nobody's business either.
    let is_above = text.starts_with("../../") || text.starts_with("~/");
    (is_absolute || is_above).then(|| last(text).to_owned())
}

fn last(path: &str) -> &str {
    let path = path.trim_end_matches(['/', '\\']);
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// `db.corp:5432` and `10.1.2.3:80` lose the name.
fn host(text: &str) -> Option<String> {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let is_address = is_ipv4(name);
    let is_private = is_address
        || PRIVATE
            .iter()
            .any(|end| name.to_ascii_lowercase().ends_with(end) && name.len() > end.len());
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    if !plain || !is_private || is_here(name) {
        return None;
    }
    Some(if port.is_empty() {
        "<host>".to_owned()
    } else {
        format!("<host>:{port}")
    })
}

/// Whether the name of a host says nothing of whose it is.
fn is_known(name: &str) -> bool {
    let bare = name.split(':').next().unwrap_or_default();
    let lower = bare.to_ascii_lowercase();
    is_here(&lower)
        || (lower.contains('.')
            && !is_ipv4(&lower)
            && !PRIVATE.iter().any(|end| lower.ends_with(end)))
}

fn is_here(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "0.0.0.0")
}

fn is_ipv4(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    parts.len() == 4
        && parts
            .iter()
            .all(|part| part.len() <= 3 && part.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_go_and_the_rest_stays() {
        for (text, expected) in [
            (
                "File \"/usr/lib/python3/site.py\", line 3",
                "File \"site.py\", line 3",
            ),
            ("open ../../secret-client/notes.txt", "open notes.txt"),
            ("at ./src/a.js and ~/.npmrc", "at ./src/a.js and .npmrc"),
            (
                "GET https://npm.corp.example/x/y?z - 404",
                "GET https://npm.corp.example - 404",
            ),
            (
                "GET https://nexus.internal/x failed",
                "GET https://<host> failed",
            ),
            (
                "fatal: git@github.com:acme/shop.git denied",
                "fatal: <remote> denied",
            ),
            (
                "connect ECONNREFUSED 10.0.3.7:5432",
                "connect ECONNREFUSED <host>:5432",
            ),
            (
                "connect to 127.0.0.1:5432 refused",
                "connect to 127.0.0.1:5432 refused",
            ),
            (
                "could not resolve db.prod.internal",
                "could not resolve <host>",
            ),
            (
                "C:\\Users\\mira\\shop\\a.cs(3,4): error",
                "a.cs(3,4): error",
            ),
            (
                "expected `Vec<T>` / found u8",
                "expected `Vec<T>` / found u8",
            ),
            (
                "express@4.18.2: not found and/or gone",
                "express@4.18.2: not found and/or gone",
            ),
            ("@types/node 1.2.3.4.5", "@types/node 1.2.3.4.5"),
            ("path=/etc/x/y.conf,mode=0600", "path=y.conf,mode=0600"),
        ] {
            assert_eq!(without(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_white_space(text in any::<String>()) {
            let spaces = |text: &str| text.chars().filter(|c| c.is_whitespace()).collect::<String>();
            prop_assert_eq!(spaces(&without(&text)), spaces(&text));
        }
    }
}
