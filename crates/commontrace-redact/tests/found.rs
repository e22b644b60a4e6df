//! Secrets that must be found, wherever they stand, and must leave nothing of themselves behind.
//!
//! Every value is put together while the test runs, so that no scanner takes this file for a leak.

use commontrace_redact::{Kind, redact};

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const MIXED: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const SMALL: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BIG: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";

/// `length` characters of `alphabet` in no particular order, the same in every run.
fn some(alphabet: &str, length: usize) -> String {
    let bytes = alphabet.as_bytes();
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ (length as u64) ^ ((bytes.len() as u64) << 32);
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    (0..length)
        .map(|_| char::from(bytes[next() % bytes.len()]))
        .collect()
}

/// Tokens that are known by their shape, each with the rules that may claim it.
fn tokens() -> Vec<(String, &'static [&'static str])> {
    let token = |parts: &[&str]| parts.concat();
    vec![
        (
            token(&["AK", "IA", &some(BASE32, 16)]),
            &["aws-access-token"],
        ),
        (token(&["gh", "p_", &some(MIXED, 36)]), &["github-pat"]),
        (
            token(&["gh", "s_", &some(MIXED, 36)]),
            &["github-app-token"],
        ),
        (
            token(&["github", "_pat_", &some(MIXED, 82)]),
            &["github-fine-grained-pat"],
        ),
        (token(&["gl", "pat-", &some(MIXED, 20)]), &["gitlab-pat"]),
        (
            token(&[
                "xo",
                "xb-",
                &some(DIGITS, 12),
                "-",
                &some(DIGITS, 12),
                "-",
                &some(MIXED, 24),
            ]),
            &["slack-bot-token"],
        ),
        (
            token(&[
                "https://hooks.",
                "slack.com/services/T",
                &some(BIG, 8),
                "/B",
                &some(BIG, 9),
                "/",
                &some(MIXED, 24),
            ]),
            &["slack-webhook-url"],
        ),
        (
            token(&["sk", "_live_", &some(MIXED, 24)]),
            &["stripe-access-token"],
        ),
        (
            token(&["wh", "sec_", &some(MIXED, 32)]),
            &["stripe-webhook-secret"],
        ),
        (
            token(&["sk-", "proj-", &some(MIXED, 48)]),
            &["openai-project-key"],
        ),
        (
            token(&[
                "sk-",
                "proj-",
                &some(MIXED, 74),
                "T3Blbk",
                "FJ",
                &some(MIXED, 74),
            ]),
            &["openai-api-key", "openai-project-key"],
        ),
        (token(&["sk-", &some(MIXED, 48)]), &["sk-api-key"]),
        (
            token(&["sk-ant-", "api03-", &some(MIXED, 93), "AA"]),
            &["anthropic-api-key", "anthropic-key"],
        ),
        (
            token(&["sk-ant-", "oat01-", &some(MIXED, 60)]),
            &["anthropic-key"],
        ),
        (
            token(&["sk-or-", "v1-", &some(HEX, 64)]),
            &["openrouter-api-key"],
        ),
        (token(&["gs", "k_", &some(MIXED, 52)]), &["groq-api-key"]),
        (
            token(&["h", "f_", &some(LETTERS, 34)]),
            &["huggingface-access-token", "huggingface-token"],
        ),
        (token(&["AI", "za", &some(MIXED, 35)]), &["gcp-api-key"]),
        (
            token(&["GOC", "SPX-", &some(MIXED, 28)]),
            &["google-oauth-client-secret"],
        ),
        (
            token(&["ya", "29.", &some(MIXED, 60)]),
            &["google-oauth-token"],
        ),
        (
            token(&["np", "m_", &some(MIXED, 36)]),
            &["npm-access-token"],
        ),
        (
            token(&["pypi-", "AgEIcHlwaS5vcmc", &some(MIXED, 90)]),
            &["pypi-upload-token"],
        ),
        (
            token(&["ci", "o", &some(MIXED, 32)]),
            &["cargo-registry-token"],
        ),
        (
            token(&["dckr", "_pat_", &some(MIXED, 27)]),
            &["docker-access-token"],
        ),
        (
            token(&["dop", "_v1_", &some(HEX, 64)]),
            &["digitalocean-pat"],
        ),
        (
            token(&["S", "G.", &some(MIXED, 22), ".", &some(MIXED, 43)]),
            &["sendgrid-api-token"],
        ),
        (token(&["S", "K", &some(HEX, 32)]), &["twilio-api-key"]),
        (
            token(&["hv", "s.", &some(MIXED, 95)]),
            &["vault-service-token"],
        ),
        (
            token(&["shp", "at_", &some(HEX, 32)]),
            &["shopify-access-token"],
        ),
        (
            token(&["lin", "_api_", &some(MIXED, 40)]),
            &["linear-api-key"],
        ),
        (
            token(&["nt", "n_", &some(DIGITS, 11), &some(MIXED, 35)]),
            &["notion-api-token"],
        ),
        (
            token(&["PMA", "K-", &some(HEX, 24), "-", &some(HEX, 34)]),
            &["postman-api-token"],
        ),
        (
            token(&[
                "AGE-SECRET-",
                "KEY-1",
                &some("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
            ]),
            &["age-secret-key"],
        ),
        (token(&["fig", "d_", &some(MIXED, 40)]), &["figma-token"]),
        (token(&["sb", "p_", &some(HEX, 40)]), &["supabase-key"]),
        (
            token(&[
                "ey",
                "JhbGciOiJIUzI1NiJ9.",
                "ey",
                "J",
                &some(MIXED, 60),
                ".",
                &some(MIXED, 43),
            ]),
            &["jwt", "jwt-bare"],
        ),
        (
            token(&[&some(DIGITS, 9), ":A", "A", &some(MIXED, 33)]),
            &["telegram-bot-token"],
        ),
    ]
}

/// Values that are known by what stands around them: text with `@` where the value goes, value, rules.
fn contexts() -> Vec<(String, String, &'static [&'static str])> {
    let password = some(MIXED, 7) + "!7";
    let word = ["ti", "ger", "lily"].concat();
    let machine_key = some(MIXED, 43);
    let basic = ["bWlyYTp", "rWDchdn", "E5MmpLbQ=="].concat();
    let pem = format!(
        "{}\n{}\n{}",
        some(MIXED, 64),
        some(MIXED, 64),
        some(MIXED, 40)
    );
    let case = |text: &str, value: &str, rules: &'static [&'static str]| {
        (text.to_owned(), value.to_owned(), rules)
    };
    vec![
        case(
            "DATABASE_URL=postgres://app:§@db.corp.io:5432/app",
            &password,
            &["url-password"],
        ),
        case("redis://:§@cache:6379/0", &word, &["url-password"]),
        case(
            "git clone https://mira:§@github.com/x/y.git",
            &password,
            &["url-password"],
        ),
        case(
            "git clone https://§@github.com/x/y.git",
            &machine_key,
            &["url-token"],
        ),
        case("password: §", &password, &["password"]),
        case("  password: \"§\",", &password, &["password"]),
        case("export DB_PASSWORD=§ && run", &password, &["password"]),
        case("{\\\"password\\\": \\\"§\\\"}", &password, &["password"]),
        case("Server=x;Uid=sa;Pwd=§;Timeout=3", &password, &["password"]),
        case("app --password §", &password, &["password"]),
        case(
            "app --api-key=§",
            &machine_key,
            &["secret", "api-key-header"],
        ),
        case("<password>§</password>", &password, &["password"]),
        case(
            "ALTER USER app WITH PASSWORD '§';",
            &word,
            &["password-in-sql"],
        ),
        case(
            "CREATE USER a@b IDENTIFIED BY '§'",
            &word,
            &["password-in-sql"],
        ),
        case(
            "machine x.io login mira password §",
            &word,
            &["password-in-netrc"],
        ),
        case(
            "curl -u mira:§ https://x.io",
            &word,
            &["password-in-command"],
        ),
        case("sshpass -p §  ssh x", &word, &["password-in-command"]),
        case("mysql -uroot -p§ app", &word, &["password-in-command"]),
        case("SECRET_KEY = '§'", &machine_key, &["secret"]),
        case("client_secret=§&x=1", &machine_key, &["secret"]),
        case("Authorization: Bearer §", &machine_key, &["bearer-token"]),
        case("-H 'Authorization: Basic §'", &basic, &["basic-auth"]),
        case(
            "{'Authorization': 'token §'}",
            &machine_key,
            &["authorization-header"],
        ),
        case("X-API-Key: §", &machine_key, &["api-key-header"]),
        case(
            "headers={\"x-api-key\": \"§\"}",
            &machine_key,
            &["api-key-header"],
        ),
        case(
            "Set-Cookie: sessionid=§; Path=/",
            &machine_key,
            &["session-cookie"],
        ),
        case(
            "//registry.npm.org/:_authToken=§",
            &machine_key,
            &["secret"],
        ),
        case(
            "aws_secret_access_key = §",
            &(some(MIXED, 38) + "/+"),
            &["aws-secret-access-key"],
        ),
        case(
            "AccountName=x;AccountKey=§;",
            &(some(MIXED, 86) + "=="),
            &["azure-connection-key"],
        ),
        case(
            "HEROKU_API_KEY=§",
            "3f1c9a5e-7b2d-4c8f-9e6a-1d0b5c7f2a48",
            &["heroku-api-key", "secret"],
        ),
        case(
            "discord_secret = \"§\"",
            &some(SMALL, 32),
            &["discord-client-secret", "secret"],
        ),
        case(
            "-----BEGIN RSA PRIVATE KEY-----\n§\n-----END RSA PRIVATE KEY-----",
            &pem,
            &["private-key", "private-key-block"],
        ),
        case(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n§",
            &pem,
            &["private-key-block"],
        ),
        case(
            "\"-----BEGIN PRIVATE KEY-----\\n§\\n-----END PRIVATE KEY-----\\n\"",
            &pem.replace('\n', "\\n"),
            &["private-key", "private-key-block"],
        ),
        case("mail § now", "mira.holt@holt-labs.de", &["email"]),
        case("at /home/§/src/app.py:3", &some(LOWER, 9), &["home-path"]),
    ]
}

/// Fails unless `text` is redacted by one of `rules` and nothing of `value` shows.
#[track_caller]
fn check(text: &str, value: &str, rules: &[&str]) {
    let answer = redact(text);
    let seen: Vec<&str> = answer.findings.iter().map(|finding| finding.rule).collect();
    assert!(
        seen.iter().any(|rule| rules.contains(rule)),
        "{seen:?} instead of {rules:?} in {text}"
    );
    let without_marks = |text: String, rule: &&str| text.replace(&format!("[redacted:{rule}]"), "");
    let shown = seen.iter().fold(answer.text.to_string(), without_marks);
    let part = value.len().min(6);
    for start in 0..=value.len() - part {
        let piece = &value[start..start + part];
        assert!(
            !shown.contains(piece),
            "`{piece}` still shows in {}",
            answer.text
        );
    }
    assert_eq!(redact(&answer.text).text, answer.text, "not stable");
}

#[test]
fn tokens_are_found_wherever_they_stand() {
    for (token, rules) in tokens() {
        for surroundings in [
            "§",
            "the key is §.",
            "`§`",
            "key = \"§\",",
            "(see §)",
            "<b>§</b>",
            "a\\n§\\nb",
            "{\\\"k\\\": \\\"§\\\"}",
            "x=§&y=1",
            "ключ: § — вот",
        ] {
            check(&surroundings.replace('§', &token), &token, rules);
        }
    }
}

#[test]
fn a_token_longer_than_its_rule_expects_leaves_no_tail() {
    let token = ["gh", "p_", &some(MIXED, 50)].concat();
    check(&format!("token {token} end"), &token, &["github-pat"]);
}

#[test]
fn values_are_found_by_what_stands_around_them() {
    for (text, value, rules) in contexts() {
        check(&text.replace('§', &value), &value, rules);
    }
}

#[test]
fn many_kinds_in_one_text_are_told_apart() {
    let token = ["gh", "p_", &some(MIXED, 36)].concat();
    let text = format!("mira@holt.dev ran /home/mira/x with {token}");
    let kinds: Vec<Kind> = redact(&text)
        .findings
        .iter()
        .map(|finding| finding.kind)
        .collect();
    assert_eq!(kinds, [Kind::Email, Kind::HomePath, Kind::Secret]);
}
