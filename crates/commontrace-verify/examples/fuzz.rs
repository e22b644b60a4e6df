//! Feeds each parser of reports with mutated samples for some seconds, the same ones for the same seed:
//!
//! ```sh
//! cargo run --release -p commontrace-verify --example fuzz -- 600 1
//! ```
//!
//! Names behind the seed, such as `tap`, choose among the parsers. A panic ends it and names the parser; the
//! input is then in the file `fuzz-crash`.

#![expect(clippy::print_stdout, reason = "this program prints its results")]

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use commontrace_verify::report::{MAX_ID_BYTES, MAX_RESULTS, PARSERS};

/// Samples of every format; each parser gets mutations of all of them.
const SAMPLES: [&str; 10] = [
    r#"<?xml version="1.0"?><testsuites><testsuite name="s" tests="3" failures="1"><testcase classname="c" name="a &lt;"/><testcase classname="c" name="b"><failure message="m">text</failure><rerunFailure/></testcase><testcase name="d"><skipped type="pytest.xfail"/></testcase></testsuite></testsuites>"#,
    "{\"Action\":\"start\",\"Package\":\"m\"}\n{\"Action\":\"run\",\"Package\":\"m\",\"Test\":\"T\"}\n{\"Action\":\"fail\",\"Package\":\"m\",\"Test\":\"T\"}\n{\"Action\":\"fail\",\"Package\":\"m\"}\n{\"ImportPath\":\"m\",\"Action\":\"build-fail\"}\n",
    r#"{"numTotalTests":1,"testResults":[{"name":"/a.js","status":"failed","message":"m","assertionResults":[{"ancestorTitles":["x"],"title":"t","status":"passed","failureMessages":["e"]}]}]}"#,
    r#"{"stats":{"tests":2},"passes":[{"fullTitle":"a b","file":"x"}],"failures":[{"fullTitle":"c","err":{"message":"m"}}],"pending":[]}"#,
    r#"{"reportFormat":"CTRF","results":{"summary":{"tests":1},"tests":[{"name":"a","status":"passed","suite":["s","t"],"flaky":true}]}}"#,
    "TAP version 14\n# Subtest: f\n    ok 1 - a # SKIP\n    not ok 2 - b\n      ---\n      x: 1\n      ...\n    1..2\nnot ok 1 - f\n1..1\nBail out! x\n",
    "{ \"type\": \"suite\", \"event\": \"started\", \"test_count\": 1 }\n{ \"type\": \"test\", \"name\": \"a\", \"event\": \"ok\" }\n{ \"type\": \"suite\", \"event\": \"ok\" }\n",
    "     Running unittests src/lib.rs (target/debug/deps/foo-0123456789abcdef)\nrunning 1 test\ntest a::b - should panic ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n   Doc-tests foo\n        PASS [   0.005s] (1/1) foo a::b\n     Summary [   0.1s] 1 test run: 1 passed, 0 skipped\n",
    "tests/a.py::T::t[a b] PASSED [ 50%]\nFAILED tests/a.py::u - x\n[gw0] PASSED tests/a.py::v\n== 1 failed, 2 passed in 0.1s ==\n--- FAIL: TestX/sub (0.00s)\nFAIL\tm/a\t0.1s\ntest_a (m.C.test_a) ... ok\nERROR: test_b (m.C.test_b) (i=3)\nRan 2 tests in 0.1s\n",
    "PASS src/a.test.js\n  sum\n    \u{2713} adds (3 ms)\n    \u{2715} b\nTests:       1 failed, 1 passed, 2 total\n  1 passing (5ms)\n  1) x:\n\u{1b}[32m\u{2714} y\u{1b}[0m\r\n",
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| match arguments.next() {
        Some(text) => text.parse::<u64>().ok(),
        None => Some(otherwise),
    };
    let (Some(seconds), Some(seed)) = (number(5), number(1)) else {
        println!("expected SECONDS SEED PARSER...");
        return ExitCode::FAILURE;
    };
    let mut random = Random(seed.max(1));
    let chosen: Vec<String> = arguments.collect();
    let parsers = PARSERS
        .into_iter()
        .filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name));
    for (name, parse) in parsers {
        let (began, mut inputs, mut bytes) = (Instant::now(), 0_u64, 0_u64);
        while began.elapsed() < Duration::from_secs(seconds) {
            let input = mutated(&mut random);
            let sound = catch_unwind(|| {
                let parsed = parse(&input);
                parsed.results.len() <= MAX_RESULTS
                    && parsed.results.iter().all(|r| {
                        r.id.len() <= MAX_ID_BYTES && !r.id.is_empty() && r.id.trim() == r.id
                    })
            });
            if !sound.unwrap_or(false) {
                let _ = std::fs::write("fuzz-crash", &input);
                println!("{name}: failed; the input is in the file fuzz-crash");
                return ExitCode::FAILURE;
            }
            inputs += 1;
            bytes += input.len() as u64;
        }
        println!("{name}: {inputs} inputs, {} MB, sound", bytes >> 20);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!(
        "{}",
        status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default()
    );
    ExitCode::SUCCESS
}

/// Two samples cut, spliced, repeated and damaged.
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut out = SAMPLES[random.below(SAMPLES.len())].as_bytes().to_vec();
    for _ in 0..random.below(8) + 1 {
        let at = random.below(out.len() + 1);
        let to = at + random.below(out.len() - at + 1);
        match random.below(7) {
            0 => out.truncate(at),
            1 => drop(out.drain(at..to)),
            2 => out.insert(at, random.byte()),
            3 if at < out.len() => out[at] = random.byte(),
            4 => {
                let other = SAMPLES[random.below(SAMPLES.len())].as_bytes();
                out.splice(at..to, other[random.below(other.len())..].iter().copied());
            }
            5 => {
                let piece = out[at..to].to_vec();
                let times = random.below(30);
                out.splice(at..at, piece.repeat(times));
            }
            _ if at < out.len() => out[at] ^= 1 << random.below(8),
            _ => {}
        }
        out.truncate(64 << 10);
    }
    out
}

/// xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}
