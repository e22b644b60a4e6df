//! E-mail addresses of people.
//!
//! Left alone: reserved and proverbial domains (`user@example.com`), machine and role accounts (`git@`,
//! `noreply@`, `support@`), versions (`left-pad@1.3.0`), file names (`icon@2x.png`) and code (`x@y.T`).

use crate::Kind;
use crate::placeholder::is_listed;
use crate::scan::{Candidate, Rank};
use crate::view::tail;

/// Adds the addresses whose `@` stands at `positions`.
pub(crate) fn find(text: &str, positions: &[usize], out: &mut Vec<Candidate>) {
    for at in positions {
        if let Some((start, end)) = address(text, *at) {
            out.push(Candidate {
                rule: "email",
                kind: Kind::Email,
                rank: Rank::Email,
                start,
                end,
            });
        }
    }
}

fn address(text: &str, at: usize) -> Option<(usize, usize)> {
    let start = at - local_part(text, at).len();
    let end = at + 1 + domain(&text[at + 1..]).len();
    let (local, domain) = (&text[start..at], &text[at + 1..end]);
    let is_address = !local.is_empty() && is_domain(domain) && !text[end..].starts_with('(');
    (is_address
        && !is_machine(local)
        && !is_proverbial(local, domain)
        && !in_user_info(&text[..start]))
    .then_some((start, end))
}

/// The longest local part that ends at `at`.
fn local_part(text: &str, at: usize) -> &str {
    const LONGEST: usize = 64;
    let bytes = text.as_bytes();
    let is_local = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'%' | b'=')
    };
    let length = bytes[..at]
        .iter()
        .rev()
        .take_while(|byte| is_local(byte))
        .take(LONGEST)
        .count();
    let mut start = at - length;
    // Of `to=mira@…` the address starts after the sign, and in `\nmira@…` the `n` belongs to the escape.
    if let Some(sign) = text[start..at].rfind(['=', '%']) {
        start += sign + 1;
    }
    let after_backslash = start > 0 && bytes[start - 1] == b'\\';
    if after_backslash && start < at && matches!(bytes[start], b'n' | b'r' | b't') {
        start += 1;
    }
    text[start..at].trim_start_matches(['.', '_', '+', '-'])
}

fn domain(rest: &str) -> &str {
    let end = rest
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        .count();
    rest[..end].trim_end_matches(['.', '-'])
}

fn is_domain(domain: &str) -> bool {
    /// Endings of file names and members of objects that follow an `@` in code and documentation.
    const NO_TOP_LEVEL: &str = "\
        cfg class conf cpp css csv dll dot exe getter gif gz hpp htm html ico ini inv jar java \
        jpeg jpg js json jsx less lock log mjs mount name php png property rb scss service \
        setter shape slice socket svg tar target tgz timer toml transpose ts tsx txt value webp \
        whl xml yaml yml zip";
    let labels: Vec<&str> = domain.split('.').collect();
    let (Some(first), Some(top)) = (labels.first(), labels.last()) else {
        return false;
    };
    let one_case =
        top.bytes().all(|b| b.is_ascii_lowercase()) || top.bytes().all(|b| b.is_ascii_uppercase());
    labels.len() >= 2
        && labels.iter().all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        && (2..=24).contains(&top.len())
        && one_case
        && !is_listed(NO_TOP_LEVEL, &top.to_ascii_lowercase())
        && !is_version(first, &labels)
}

/// Whether the "domain" starts like a version: `1.2.3-rc.beta`, `v4.x`.
fn is_version(first: &str, labels: &[&str]) -> bool {
    let digits = first.strip_prefix(['v', 'V']).unwrap_or(first);
    let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    numeric && (labels.len() > 2 || first.len() < 3)
}

/// Accounts of programs and of whoever is on duty.
fn is_machine(local: &str) -> bool {
    const MACHINES: &str = "\
        abuse admin administrator billing bounce bugs contact do-not-reply donotreply ec2-user \
        feedback git help hg hostmaster info mailer-daemon maintainer maintainers newsletter \
        no-reply no_reply noreply notifications packages postmaster root sales security \
        service support svn ubuntu webmaster";
    let local = local.to_ascii_lowercase();
    is_listed(MACHINES, &local)
}

/// Addresses of nobody: reserved domains, and the names that manuals use on any domain.
fn is_proverbial(local: &str, domain: &str) -> bool {
    const DOMAINS: &str = "\
        abc.com abc.de acme.com acme.org anotherdomain.com anydomain.com bar.com baz.com \
        blah.com company.com contoso.com domain.com domain.net domain.org domain.tld \
        example.de foo.bar foo.com foo.org foobar.com host.com hostname.com mycompany.com \
        mydomain.com mydomain.org myemail.com myhost.com myhost.net mysite.com mywebsite.com \
        nowhere.com otherdomain.com otherhost.com sampledomain.com samples.mailgun.org \
        server.com site.com some.com somecompany.com somecompany.onmicrosoft.com \
        somedomain.com something.com somewhere.com test.com test.de test.io test.net test.org \
        testing.com tests.com there.com website.com whatever.com x.y xxx.com xyz.com \
        your-company.com your-domain.com yourcompany.com yourdomain.com yourdomain.org \
        youremail.com yourhost.com yoursite.com yourwebsite.com";
    const LOCALS: &str = "\
        abc account bar baz demo dummy email example first.last firstname.lastname foo foobar \
        from frommail jane.doe jane_doe janedoe jbloggs joe-blow joe.bloggs john.doe john_doe \
        johndoe my-email my.email my.name my_email myemail mymail myname myusername name \
        nobody phone_number receiver recipient sample sender some some_user somebody someone \
        something someuser test test.user test1 tester testuser tomail user user1 user2 \
        username who whoever whom xxx xyz you your your-email your-name your.email your.name \
        your_email your_name youraccount youremail yourmail yourname yourusername";
    let (local, domain) = (local.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let labels: Vec<&str> = domain.split('.').collect();
    let site = labels[labels.len().saturating_sub(2)..].join(".");
    let reserved = labels
        .iter()
        .any(|label| matches!(*label, "example" | "examples"))
        || matches!(
            labels.last(),
            Some(&("invalid" | "test" | "localhost" | "localdomain" | "tld"))
        );
    let one_letter = labels.len() == 2 && labels[0].len() == 1 && local.len() == 1;
    reserved
        || one_letter
        || is_listed(DOMAINS, &site)
        || is_listed(LOCALS, &local)
        || local.starts_with("your")
}

/// Whether the address continues the user part of a URL, which `detect::url` judges.
fn in_user_info(before: &str) -> bool {
    let token = tail(before, 512)
        .rsplit(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ',')
        })
        .next()
        .unwrap_or("");
    token
        .rfind("://")
        .is_some_and(|at| !token[at + 3..].contains(['/', '?', '#']))
}

#[cfg(test)]
mod tests {
    use crate::redact;

    #[test]
    fn addresses_are_replaced() {
        let cases = [
            (
                "Mira Holt <mira.holt+x@holt-labs.de>, bob",
                "Mira Holt <[redacted:email]>, bob",
            ),
            ("to=mira@holt.dev.", "to=[redacted:email]."),
            (r"a\nmira@holt.dev\n", r"a\n[redacted:email]\n"),
            ("mailto:M.H@HOLT.ORG?x", "mailto:[redacted:email]?x"),
            ("17+mira@users.noreply.github.com", "[redacted:email]"),
            ("anna@163.com", "[redacted:email]"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text).text, expected);
        }
    }

    #[test]
    fn what_only_looks_like_an_address_is_left_alone() {
        for text in [
            "git@github.com:org/repo.git",
            "user@example.com, you@sub.example.org, a@b.invalid",
            "noreply@anthropic.com",
            "npm i left-pad@1.3.0 @types/node@18.x vue@next lodash@4.17.21-rc.beta",
            "@app.route('/')\n@pytest.fixture\nx = a@b.T",
            r"\n@property.setter",
            "icon@2x.png getty@tty1.service",
            "root@db.corp.io",
            "ssh://deploy@db.corp.io/x",
            "user@localhost",
            "java.lang.Object@6d06d69c",
        ] {
            assert_eq!(redact(text).findings, [], "{text}");
        }
    }
}
