//! Texts of documentation, code and logs in which nothing is secret.

use commontrace_redact::redact;

/// Texts that must stay as they are.
const HARMLESS: &[&str] = &[
    // Hashes, ids, versions.
    "commit 0d3c4465a7fd013edaff839c8faa36d326bcccc9 fixes it",
    "Merge 83d9cd6 into 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "\"integrity\": \"sha512-mTtKkWCAeHnTiBmRzjKnot8D8zX/JVDuRffuvSCr+z93vuBXygeifGZ7lXOB8Hjxto+DikSoF0XXfxntd1BZSQ==\"",
    "checksum = \"6748e8def348ed4d14996fa801f4122cd763fff530258cdc03f64b25f89d3a5a\"",
    "--hash=sha256:4a0f2c6d8e1b3a5c7d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e",
    "trace 123e4567-e89b-12d3-a456-426614174000 took 3 ms",
    "see https://sourcegraph.com/x at 0d3c4465a7fd013edaff839c8faa36d326bcccc9",
    "cache-key: linux-cargo-0d3c4465a7fd013edaff839c8faa36d326bcccc9",
    "image: registry.io/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "rustc 1.95.0 (59807616e 2026-04-14), left-pad@1.3.0, serde@1.0.229, actions/checkout@v4.1.7",
    // Example connections.
    "postgres://user:password@localhost/db",
    "DATABASE_URL=postgresql://postgres:postgres@localhost:5432/app_test",
    "mysql://root:root@127.0.0.1:3306/test",
    "amqp://guest:guest@localhost//",
    "mongodb://username:password@host:27017/?authSource=admin",
    "redis://:${REDIS_PASSWORD}@redis:6379",
    "postgres://{user}:{password}@{host}/{db}",
    "https://<token>@github.com/org/repo.git",
    "https://user:pass@proxy.example.com:8080",
    // Placeholders.
    "password: <password>\nPASSWORD=changeme\npassword = '***'\nsecret: your-secret-here",
    "api_key=YOUR_API_KEY, token: xxxxxxxxxxxxxxxx, AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AKIAIOSFODNN7EXAMPLE",
    "OPENAI_API_KEY=sk-... and sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "Authorization: Bearer $TOKEN",
    "curl -H \"Authorization: Bearer <your-token>\" -u user:password https://api.example.com",
    "password: ${{ secrets.DEPLOY_PASSWORD }}",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    // Code.
    "password = os.environ[\"DB_PASSWORD\"]",
    "def login(username: str, password: str) -> Token:",
    "const password = process.env.DB_PASSWORD;",
    "password: String, #[serde(skip)] token: Option<String>",
    "if (password !== confirmPassword2) throw new Error('x1')",
    "token = request.headers.get('X-Auth-Token')",
    "secret = secrets.token_urlsafe(32)",
    "let token_count = tokens.len(); // max_tokens: 4096",
    "key = lambda item: item[1]; sort_key='created_at2'",
    "input type=\"password\" name=\"password\" id=\"password1\"",
    "pwd=/srv/app2 && cd $OLDPWD",
    "<PackageReference Include=\"X\" PublicKeyToken=\"31bf3856ad364e35\" />",
    "passwordHash: bcrypt.hashSync(password, 10)",
    "tokenizer = AutoTokenizer.from_pretrained('bert-base-uncased')",
    "eos_token: '<|endoftext|>'",
    "error[E0277]: the trait bound `Secret<Token2>: Clone` is not satisfied",
    // Things with an `@`.
    "git@github.com:org/repo.git",
    "ssh-keygen -C you@example.com; git config user.email \"user@example.com\"",
    "Co-Authored-By: Claude <noreply@anthropic.com>",
    "@pytest.mark.parametrize('x', [1])\n@app.get('/x')",
    "npm install @types/node@20.1.0 vue@next react@18.3.0-canary.1",
    "systemctl status getty@tty1.service user@1000.service",
    "y = a@b.T; img src=logo@2x.png",
    // Paths.
    "/root/.cargo, /home/user/app, /home/runner/work/x/x, /Users/<you>/x, C:\\Users\\%USERNAME%\\x, ~/src",
    "GET /api/users/42 and https://x.io/home/settings",
    "COPY --chown=node:node . /home/node/app",
    // Data.
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmPq3vU0r4m1y7bq1Yw3n0s8u4x5z6A7B8C9D0E1F2G ci",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n-----END CERTIFICATE-----",
    "0x7ffee4b8c9d0 in main at 00007f3c2a1b4000",
];

#[test]
fn nothing_is_found_where_nothing_is_secret() {
    let mut wrong = Vec::new();
    for text in HARMLESS {
        for finding in redact(text).findings {
            wrong.push(format!(
                "{}: `{}` in {text}",
                finding.rule,
                &text[finding.start..finding.end]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_text_without_findings_is_not_copied() {
    assert!(matches!(
        redact("nothing here").text,
        std::borrow::Cow::Borrowed(_)
    ));
}
