//! E-mail addresses, as far as they can be checked without sending mail.

/// Domains that no mail can reach, whose addresses would only look like a way to reach somebody.
const RESERVED_DOMAINS: [&str; 6] = ["arpa", "invalid", "local", "localhost", "onion", "test"];

/// Checks an address and lower-cases it, or says what is wrong with it.
pub fn normalize(email: &str) -> Result<String, &'static str> {
    let email = email.trim().to_lowercase();
    let (local, domain) = email.rsplit_once('@').ok_or(NOT_ONE)?;
    let labels: Vec<&str> = domain.split('.').collect();
    let top = labels.last().copied().unwrap_or_default();
    let domain_ok = labels.len() >= 2
        && labels.iter().all(|label| is_label(label))
        && top.chars().any(char::is_alphabetic);
    if !is_local_part(local) || !domain_ok {
        return Err(NOT_ONE);
    }
    if RESERVED_DOMAINS.contains(&top) {
        return Err("must not be in a reserved domain; leave it out to register without one");
    }
    Ok(email)
}

const NOT_ONE: &str = "must be an e-mail address";

fn is_local_part(local: &str) -> bool {
    !local.is_empty()
        && local.chars().count() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local
            .chars()
            .all(|c| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c))
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::normalize;

    #[test]
    fn addresses_are_checked_and_lower_cased() {
        assert_eq!(
            normalize("Ada@Example.COM").as_deref(),
            Ok("ada@example.com")
        );
        assert!(normalize("agent-12ab34cd@commontrace.auto").is_ok());
        for bad in [
            "", "ada", "@b.c", "a@b", "a b@c.de", "a@b..c", "a@-b.c", "a@b.test", "a@b.123",
        ] {
            assert!(normalize(bad).is_err(), "{bad}");
        }
    }
}
