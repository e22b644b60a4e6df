fn main() {
    for l in std::io::stdin().lines() {
        let l = l.unwrap();
        println!("{}", commontrace_redact::redact(&l).text);
    }
}
