use std::time::Instant;
fn main() {
    for unit in [
        "a@b.cc/",
        "x://",
        "password>",
        "password=",
        "password='",
        "bearer ",
        "authorization:",
        "cookie:a=b;",
        "/home/a",
        "C:\\Users\\a b ",
        "curl -u a:b ",
        "curl ",
        "mysql -u a -pxk9 ",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ",
        "kind: secret data: a: ",
        "[redacted:x]mira@holt.dev ",
        "identified by ",
        "machine a login b password ",
        "\\n\\t\\\"",
        "token=a1b2c3d4e5f6g7h8 ",
        "sk-",
        "api_key = aaaaaaaa",
        "https://a:b9k2@c/",
        "secret",
        "AKIA",
        "with password ",
        "-home-",
        "@",
        "http ",
        "discord token ",
    ] {
        let text = unit.repeat(1_000_000 / unit.len());
        let t = Instant::now();
        let r = commontrace_redact::redact(&text);
        let e = t.elapsed();
        if e.as_millis() > 200 {
            println!("{unit:?}: {e:?}, {} findings", r.findings.len());
        }
    }
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    println!(
        "{}",
        s.lines()
            .filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM"))
            .collect::<String>()
    );
}
