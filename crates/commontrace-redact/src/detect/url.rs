//! Credentials in URLs: `scheme://user:password@host` and `scheme://token@host`.

use crate::Kind;
use crate::placeholder;
use crate::scan::{Candidate, Rank};
use crate::view::head;

/// Adds the passwords and tokens of the URLs whose `://` stands at `positions`.
///
/// Not reported: placeholders (`user:password@`), passwords equal to the user on a machine of one's own
/// (`app:app@localhost`), and anything on a host that manuals write (`…@example.com`). Names under `.example` and `.test` are used
/// for machines of one's own too.
pub(crate) fn find(view: &str, positions: &[usize], out: &mut Vec<Candidate>) {
    for at in positions {
        let scheme_length = view[..*at]
            .bytes()
            .rev()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'))
            .count();
        if scheme_length >= 2 {
            out.extend(credential(view, at + 3));
        }
    }
}

fn credential(view: &str, start: usize) -> Option<Candidate> {
    let user_info = user_info(&view[start..])?;
    let host = host(&view[start + user_info.len() + 1..]);
    if is_documentation_host(host) {
        return None;
    }
    let (rule, offset, secret) = match user_info.split_once(':') {
        Some((user, password)) => {
            let is_own = password == user && !host.contains('.');
            if is_own || placeholder::is_password(without_percent(password)) {
                return None;
            }
            ("url-password", user.len() + 1, password)
        }
        None if is_token(user_info) => ("url-token", 0, user_info),
        None => return None,
    };
    let start = start + offset;
    Some(Candidate {
        rule,
        kind: Kind::Secret,
        rank: Rank::Context,
        start,
        end: start + secret.len(),
    })
}

/// What stands before the `@` of an authority. A password may hold `/`, `?` or `#` although it should not.
fn user_info(rest: &str) -> Option<&str> {
    const LONGEST: usize = 1024;
    let ends_url = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
    let url = head(rest, LONGEST).split(ends_url).next().unwrap_or("");
    let url = url.split("://").next().unwrap_or("");
    let authority = url.split(['/', '?', '#']).next().unwrap_or("");
    let user_info = match authority.rfind('@') {
        Some(at) => &authority[..at],
        None => {
            let (host, after_colon) = authority.split_once(':')?;
            let is_port = after_colon.bytes().all(|byte| byte.is_ascii_digit());
            if is_port || host.contains('.') {
                return None;
            }
            &url[..url.find('@')?]
        }
    };
    (!user_info.is_empty()).then_some(user_info)
}

fn host(rest: &str) -> &str {
    let end = rest
        .find(|c: char| {
            !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | '$' | '{' | '<'))
        })
        .unwrap_or(rest.len());
    &rest[..end]
}

fn is_documentation_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    ["example.com", "example.org", "example.net"]
        .iter()
        .any(|name| {
            host.strip_suffix(name)
                .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        })
}

/// The password from its first character that is not percent-encoded, for telling placeholders.
fn without_percent(password: &str) -> &str {
    let mut rest = password;
    while let Some(after) = rest
        .strip_prefix('%')
        .filter(|after| after.len() > 2 && after.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit))
    {
        rest = &after[2..];
    }
    rest
}

/// Whether a user name is so long and mixed that it must be a token.
fn is_token(user: &str) -> bool {
    let mixed =
        user.bytes().any(|b| b.is_ascii_digit()) && user.bytes().any(|b| b.is_ascii_alphabetic());
    user.len() >= 20
        && mixed
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !placeholder::is_obvious(user)
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn passwords_in_urls_are_replaced_and_the_rest_kept() {
        let cases = [
            (
                "postgres://app:kX7!vq92@db.corp.io:5432/x",
                "postgres://app:[redacted:url-password]@db.corp.io:5432/x",
            ),
            (
                "mysql://root:x7q@10.0.0.5/a",
                "mysql://root:[redacted:url-password]@10.0.0.5/a",
            ),
            (
                "redis://:k9#zz/1q@cache:6379",
                "redis://:[redacted:url-password]@cache:6379",
            ),
            (
                "postgres://app:kX7!vq92@db.acme.example/x",
                "postgres://app:[redacted:url-password]@db.acme.example/x",
            ),
            (
                "https://a:p@q7z@host.io/p?x=a@b",
                "https://a:[redacted:url-password]@host.io/p?x=a@b",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text).text, expected);
        }
    }

    #[test]
    fn documentation_urls_are_left_alone() {
        for text in [
            "postgres://user:password@localhost/db",
            "postgresql://postgres:postgres@db:5432/app",
            "amqp://guest:guest@rabbitmq:5672",
            "mysql://app:app@127/db",
            "https://user:k3jJ2x@example.com/",
            "https://user:k3jJ2x@api.example.org/",
            "https://user:password@db.acme.example/",
            "postgres://${DB_USER}:${DB_PASS}@${DB_HOST}/db",
            "mongodb+srv://<user>:<password>@cluster0.mongodb.net",
            "http://localhost:3000/@vite/client",
            "https://host.io:8443/path@2x.png",
            "ssh://git@github.com/org/repo.git",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}
