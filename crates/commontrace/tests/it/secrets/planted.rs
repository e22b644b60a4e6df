//! Secrets of the kinds that people have lying about, all different, the same in every run, and known to no service.
//!
//! Every value is put together while the test runs, so that no scanner takes this file for a leak.

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const MIXED: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DIGITS: &[u8] = b"0123456789";
const HEX: &[u8] = b"0123456789abcdef";

/// A secret and how it stands in a text.
#[derive(Debug, Clone)]
pub struct Planted {
    pub kind: &'static str,
    /// What must be found nowhere.
    pub value: String,
    /// What is printed, typed or written.
    pub text: String,
}

/// As many secrets of each kind as make up `count` in all.
pub fn planted(count: usize) -> Vec<Planted> {
    let mut random = Random(0x5eed);
    (0..count)
        .map(|number| KINDS[number % KINDS.len()](&mut random))
        .collect()
}

type Kind = fn(&mut Random) -> Planted;

const KINDS: [Kind; 25] = [
    |random| token("github-token", &["gh", "p_", &random.some(MIXED, 36)]),
    |random| {
        token(
            "github-fine-grained",
            &["github", "_pat_", &random.some(MIXED, 82)],
        )
    },
    |random| token("gitlab-token", &["gl", "pat-", &random.some(MIXED, 20)]),
    |random| token("npm-token", &["np", "m_", &random.some(MIXED, 36)]),
    |random| token("openai-key", &["sk-", "proj-", &random.some(MIXED, 48)]),
    |random| token("sk-key", &["sk-", &random.some(MIXED, 48)]),
    |random| {
        token(
            "anthropic-key",
            &["sk-ant-", "api03-", &random.some(MIXED, 93), "AA"],
        )
    },
    |random| {
        let (one, two) = (random.some(DIGITS, 12), random.some(DIGITS, 12));
        token(
            "slack-token",
            &["xo", "xb-", &one, "-", &two, "-", &random.some(MIXED, 24)],
        )
    },
    |random| token("aws-access-key", &["AK", "IA", &random.some(BASE32, 16)]),
    |random| {
        assigned(
            "aws-secret-key",
            "aws_secret_access_key = ",
            random.some(BASE64, 40),
            "",
        )
    },
    |random| token("google-key", &["AI", "za", &random.some(MIXED, 35)]),
    |random| token("stripe-key", &["sk", "_live_", &random.some(MIXED, 24)]),
    |random| {
        let (claims, signature) = (random.some(MIXED, 60), random.some(MIXED, 43));
        token(
            "jwt",
            &[
                "ey",
                "JhbGciOiJIUzI1NiJ9.",
                "ey",
                "J",
                &claims,
                ".",
                &signature,
            ],
        )
    },
    |random| {
        assigned(
            "bearer",
            "curl -H 'Authorization: Bearer ",
            random.some(MIXED, 40),
            "' https://api.acme-shop.net/v1",
        )
    },
    |random| {
        let both = format!("{}:{}", random.some(SMALL, 6), random.some(MIXED, 17));
        assigned(
            "basic",
            "> Authorization: Basic ",
            base64(both.as_bytes()),
            "",
        )
    },
    |random| {
        assigned(
            "url-password",
            "postgres://shop:",
            random.some(MIXED, 18),
            "@db.acme-shop.net:5432/shop",
        )
    },
    |random| {
        assigned(
            "password",
            "DB_PASSWORD=",
            random.some(MIXED, 16),
            " make deploy",
        )
    },
    |random| assigned("api-key", "\"api_key\": \"", random.some(MIXED, 32), "\","),
    |random| {
        assigned(
            "client-secret",
            "CLIENT_SECRET='",
            random.some(MIXED, 40),
            "'",
        )
    },
    |random| assigned("token-hex", "SESSION_TOKEN=", random.some(HEX, 64), ""),
    |random| {
        assigned(
            "mysql-password",
            "mysql -u shop --password=",
            random.some(MIXED, 14),
            " shop",
        )
    },
    |random| block("rsa-key", "RSA PRIVATE KEY", "MII", random),
    |random| {
        block(
            "openssh-key",
            "OPENSSH PRIVATE KEY",
            "b3BlbnNzaC1rZXktdjE",
            random,
        )
    },
    |random| {
        token(
            "pypi-token",
            &["pypi-", "AgEIcHlwaS5vcmc", &random.some(MIXED, 90)],
        )
    },
    |random| {
        let name = random.some(SMALL, 9);
        let domain = random.some(SMALL, 10);
        let value = format!("{}{name}@{domain}.com", random.some(LETTERS, 1));
        token("email", &[&value])
    },
];

fn token(kind: &'static str, parts: &[&str]) -> Planted {
    let value = parts.concat();
    Planted {
        kind,
        text: value.clone(),
        value,
    }
}

/// A value that is known by what stands around it.
fn assigned(kind: &'static str, before: &str, value: String, after: &str) -> Planted {
    Planted {
        kind,
        text: format!("{before}{value}{after}"),
        value,
    }
}

fn block(kind: &'static str, label: &str, beginning: &str, random: &mut Random) -> Planted {
    let dashes = "-".repeat(5);
    let mut lines = vec![format!(
        "{beginning}{}",
        random.some(BASE64, 64 - beginning.len())
    )];
    for _ in 0..5 {
        lines.push(random.some(BASE64, 64));
    }
    lines.push(format!("{}==", random.some(BASE64, 30)));
    let value = lines.join("\n");
    Planted {
        kind,
        text: format!("{dashes}BEGIN {label}{dashes}\n{value}\n{dashes}END {label}{dashes}"),
        value,
    }
}

/// Encodes whole groups of three bytes.
fn base64(bytes: &[u8]) -> String {
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let number = group
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(BASE64[number >> shift & 63]))
    });
    groups.collect()
}

/// Steele, Lea and Flood's SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// So many characters of an alphabet, with a capital, a small letter and a digit if it has them, as real ones.
    fn some(&mut self, alphabet: &[u8], length: usize) -> String {
        loop {
            let text: String = (0..length)
                .map(|_| char::from(alphabet[(self.next() % alphabet.len() as u64) as usize]))
                .collect();
            let wants = |is: fn(&u8) -> bool| {
                length < 3 || !alphabet.iter().any(is) || text.as_bytes().iter().any(is)
            };
            if wants(u8::is_ascii_uppercase)
                && wants(u8::is_ascii_lowercase)
                && wants(u8::is_ascii_digit)
            {
                return text;
            }
        }
    }
}
