//! Kinds of repositories: a source with a function `add`, and tests of it.

use std::process::Command;

use commontrace_verify::Reason;

/// A kind of repository.
pub struct Kind {
    pub name: &'static str,
    /// What has to be installed.
    needs: &'static [&'static str],
    pub command: &'static str,
    /// The file with `add`; `{op}` is its operator, and `{mul}` stands before what only some fixes have.
    pub source: (&'static str, &'static str),
    pub test_file: &'static str,
    pub others: &'static [(&'static str, &'static str)],
    /// What stands before and after the tests.
    frame: (&'static str, &'static str),
    /// How to write each test.
    test: fn(Test) -> &'static str,
    /// Sources that try to look fixed: what they do, `{source}` being a wrong fix, and what comes of it.
    pub hooks: &'static [(&'static str, &'static str, Reason)],
}

/// A test.
#[derive(Clone, Copy)]
pub enum Test {
    /// `zero`: 0 + 0 is 0, whatever the operator.
    Zero,
    /// The same under the name `more`.
    More,
    /// `sum`: 1 + 2 is 3.
    Sum,
    /// `sum`, weakened: it asserts nothing.
    Weak,
    /// `sum`, skipped.
    Skipped,
    /// `coin`: passes in every second run.
    Coin,
    /// `sum`, but passes in every second run.
    FlakySum,
    /// A test whose name has the time in it.
    Clock,
    /// `mul`: of a function that the base does not have.
    Mul,
}

impl Kind {
    pub fn is_available(&self) -> bool {
        let (program, args) = self.needs.split_first().unwrap();
        Command::new(program)
            .args(args)
            .output()
            .is_ok_and(|output| output.status.success())
    }

    pub fn source_with(&self, op: &str) -> String {
        let lines = self.source.1.replace("{op}", op);
        lines
            .lines()
            .filter(|line| !line.starts_with("{mul}"))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    pub fn source_with_mul(&self, op: &str) -> String {
        self.source.1.replace("{op}", op).replace("{mul}", "")
    }

    pub fn tests(&self, tests: &[Test]) -> String {
        let tests: String = tests.iter().map(|test| (self.test)(*test)).collect();
        format!("{}{tests}{}", self.frame.0, self.frame.1)
    }
}

/// Every second run of one state passes: the folder `HOME` is the same for its runs.
const SHELL_TESTS: fn(Test) -> &'static str = |test| match test {
    Test::Zero => "check zero [ $(add 0 0) = 0 ]\n",
    Test::More => "check more [ $(add 0 0) = 0 ]\n",
    Test::Sum => "check sum [ $(add 1 2) = 3 ]\n",
    Test::Weak => "check sum true\n",
    Test::Skipped => "skip sum\n",
    Test::Coin => "check coin coin\n",
    Test::FlakySum => "check sum coin\n",
    Test::Clock => "check \"at $(date +%s%N)\" true\n",
    Test::Mul => "check mul [ \"$(mul 2 3)\" = 6 ]\n",
};

const SHELL_SOURCE: (&str, &str) = (
    "lib.sh",
    "add() { echo $(($1 {op} $2)); }\n{mul}mul() { echo $(($1 * $2)); }\n",
);

const COIN: &str = "coin() { c=$(cat $HOME/coin 2>/dev/null || echo 0); echo $((c+1)) > $HOME/coin; test $((c % 2)) = 1; }\n";

pub const TAP: Kind = Kind {
    name: "sh with TAP",
    needs: &["sh", "-c", "true"],
    command: "sh tests/run.sh > $COMMONTRACE_REPORTS/run.tap",
    source: SHELL_SOURCE,
    test_file: "tests/run.sh",
    others: &[
        (
            "tap.sh",
            "n=0; bad=0\n\
            check() { name=$1; shift; n=$((n+1)); if \"$@\"; then echo \"ok $n - $name\"; else echo \"not ok $n - $name\"; bad=1; fi; }\n\
            skip() { n=$((n+1)); echo \"ok $n - $1 # SKIP\"; }\n\
            finish() { echo 1..$n; exit $bad; }\n",
        ),
        ("coin.sh", COIN),
    ],
    frame: (". ./tap.sh; . ./coin.sh; . ./lib.sh\n", "finish\n"),
    test: SHELL_TESTS,
    hooks: &[
        (
            "prints that it passed",
            "{source}echo 'ok 9 - sum'\n",
            Reason::ResultsDisagree,
        ),
        (
            "prints that it passed and ends",
            "{source}echo 'ok 1 - zero'; echo 'ok 2 - sum'; exit 0\n",
            Reason::ReportMissing,
        ),
        (
            "ends without a word",
            "{source}exit 0\n",
            Reason::ReportInvalid,
        ),
    ],
};

pub const JUNIT: Kind = Kind {
    name: "sh with JUnit XML",
    others: &[
        (
            "junit.sh",
            "o=$COMMONTRACE_REPORTS/r.xml; bad=0; echo '<testsuite name=\"s\">' > $o\n\
            check() { name=$1; shift; if \"$@\"; then echo \"<testcase classname='c' name='$name'/>\" >> $o; else echo \"<testcase classname='c' name='$name'><failure/></testcase>\" >> $o; bad=1; fi; }\n\
            skip() { echo \"<testcase classname='c' name='$1'><skipped/></testcase>\" >> $o; }\n\
            finish() { echo '</testsuite>' >> $o; exit $bad; }\n",
        ),
        ("coin.sh", COIN),
    ],
    command: "test -d $COMMONTRACE_REPORTS && sh tests/run.sh",
    frame: (". ./junit.sh; . ./coin.sh; . ./lib.sh\n", "finish\n"),
    hooks: &[
        (
            "prints that it passed",
            "{source}echo PASSED sum\n",
            Reason::StillFailing,
        ),
        (
            "leaves a report that is cut",
            "{source}exit 0\n",
            Reason::ReportInvalid,
        ),
        (
            "takes the report away",
            "{source}rm $COMMONTRACE_REPORTS/r.xml; echo 'ok 1 - sum'; echo 1..1; exit 0\n",
            Reason::ReportMissing,
        ),
        (
            "puts a link in the report's place",
            "{source}ln -sf /tmp/x $COMMONTRACE_REPORTS/x.xml\n",
            Reason::ReportInvalid,
        ),
    ],
    ..TAP
};

pub const CTRF: Kind = Kind {
    name: "sh with CTRF",
    others: &[
        (
            "ctrf.sh",
            "o=$COMMONTRACE_REPORTS/r.json; bad=0; printf '{\"reportFormat\":\"CTRF\",\"results\":{\"tests\":[' > $o; s=\n\
            one() { printf '%s{\"name\":\"%s\",\"status\":\"%s\"}' \"$s\" \"$1\" $2 >> $o; s=,; }\n\
            check() { name=$1; shift; if \"$@\"; then one \"$name\" passed; else one \"$name\" failed; bad=1; fi; }\n\
            skip() { one \"$1\" skipped; }\n\
            finish() { echo ']}}' >> $o; exit $bad; }\n",
        ),
        ("coin.sh", COIN),
    ],
    command: "test -d $COMMONTRACE_REPORTS && sh tests/run.sh",
    frame: (". ./ctrf.sh; . ./coin.sh; . ./lib.sh\n", "finish\n"),
    hooks: &[(
        "leaves a report that is cut",
        "{source}exit 0\n",
        Reason::ReportInvalid,
    )],
    ..TAP
};

pub const PROVE: Kind = Kind {
    name: "Perl with prove",
    needs: &["prove", "--version"],
    command: "prove -v -I. t/add.t",
    source: (
        "Add.pm",
        "package Add; use base 'Exporter'; our @EXPORT = ('add', 'mul');\nsub add { $_[0] {op} $_[1] }\n{mul}sub mul { $_[0] * $_[1] }\n1;\n",
    ),
    test_file: "t/add.t",
    others: &[(
        "Coin.pm",
        "package Coin; use base 'Exporter'; our @EXPORT = ('coin');\n\
        sub coin { my $f = \"$ENV{HOME}/coin\"; my $c = 0; if (open(my $h, '<', $f)) { $c = <$h>; } open(my $h, '>', $f); print $h $c + 1; $c % 2 == 1 }\n1;\n",
    )],
    frame: (
        "use Test::More; use Add; use Coin; use Time::HiRes;\n",
        "done_testing();\n",
    ),
    test: |test| match test {
        Test::Zero => "is(add(0, 0), 0, 'zero');\n",
        Test::More => "is(add(0, 0), 0, 'more');\n",
        Test::Sum => "is(add(1, 2), 3, 'sum');\n",
        Test::Weak => "ok(1, 'sum');\n",
        Test::Skipped => "SKIP: { skip 'sum', 1; }\n",
        Test::Coin => "ok(coin(), 'coin');\n",
        Test::FlakySum => "ok(coin(), 'sum');\n",
        Test::Clock => "ok(1, 'at ' . int(Time::HiRes::time() * 1000000));\n",
        Test::Mul => "is(eval { mul(2, 3) }, 6, 'mul');\n",
    },
    hooks: &[(
        "prints that it passed",
        "{source}print \"ok 2 - sum\\n\";\n1;\n",
        Reason::ResultsDisagree,
    )],
};

pub const UNITTEST: Kind = Kind {
    name: "Python with unittest",
    needs: &["/usr/bin/python3", "--version"],
    command: "/usr/bin/python3 -m unittest discover -s tests -t .",
    source: (
        "calc.py",
        "def add(a, b): return a {op} b\n{mul}def mul(a, b): return a * b\n",
    ),
    test_file: "tests/test_add.py",
    others: &[("tests/__init__.py", "\n"), ("coin.py", PYTHON_COIN)],
    frame: (
        "import time, unittest, calc, coin\nclass T(unittest.TestCase):\n",
        "",
    ),
    test: |test| match test {
        Test::Zero => "    def test_zero(self): self.assertEqual(calc.add(0, 0), 0)\n",
        Test::More => "    def test_more(self): self.assertEqual(calc.add(0, 0), 0)\n",
        Test::Sum => "    def test_sum(self): self.assertEqual(calc.add(1, 2), 3)\n",
        Test::Weak => "    def test_sum(self): pass\n",
        Test::Skipped => "    @unittest.skip('later')\n    def test_sum(self): pass\n",
        Test::Coin => "    def test_coin(self): self.assertTrue(coin.coin())\n",
        Test::FlakySum => "    def test_sum(self): self.assertTrue(coin.coin())\n",
        Test::Clock => "    exec('def test_at_%d(self): pass' % time.time_ns())\n",
        Test::Mul => "    def test_mul(self): self.assertEqual(calc.mul(2, 3), 6)\n",
    },
    hooks: &[
        (
            "prints that it passed",
            "{source}import sys; print('test_sum (tests.test_add.T.test_sum) ... ok', file=sys.stderr)\n",
            Reason::ResultsDisagree,
        ),
        (
            "ends the process",
            "{source}import os; os._exit(0)\n",
            Reason::NoTestsRan,
        ),
    ],
};

const PYTHON_COIN: &str = "import os\ndef coin():\n    f = os.environ['HOME'] + '/coin'\n    c = int(open(f).read()) if os.path.exists(f) else 0\n    open(f, 'w').write(str(c + 1))\n    return c % 2 == 1\n";

pub const PYTEST: Kind = Kind {
    name: "Python with pytest",
    needs: &["/usr/bin/python3", "-m", "pytest", "--version"],
    command: "PYTHONPATH=. /usr/bin/python3 -m pytest -q",
    frame: ("import time, pytest, calc, coin\n", ""),
    test: |test| match test {
        Test::Zero => "def test_zero(): assert calc.add(0, 0) == 0\n",
        Test::More => "def test_more(): assert calc.add(0, 0) == 0\n",
        Test::Sum => "def test_sum(): assert calc.add(1, 2) == 3\n",
        Test::Weak => "def test_sum(): pass\n",
        Test::Skipped => "@pytest.mark.skip\ndef test_sum(): pass\n",
        Test::Coin => "def test_coin(): assert coin.coin()\n",
        Test::FlakySum => "def test_sum(): assert coin.coin()\n",
        Test::Clock => "@pytest.mark.parametrize('t', [time.time_ns()])\ndef test_at(t): pass\n",
        Test::Mul => "from calc import mul\ndef test_mul(): assert mul(2, 3) == 6\n",
    },
    hooks: &[
        (
            "prints that it passed",
            "{source}print('PASSED tests/test_add.py::test_sum')\n",
            Reason::StillFailing,
        ),
        (
            "ends the process",
            "{source}import os; os._exit(0)\n",
            Reason::ReportMissing,
        ),
    ],
    ..UNITTEST
};

pub const NODE: Kind = Kind {
    name: "JavaScript with node",
    needs: &["node", "--test-reporter=tap", "--version"],
    command: "node --test tests/add.test.js",
    source: (
        "calc.js",
        "exports.add = (a, b) => a {op} b;\n{mul}exports.mul = (a, b) => a * b;\n",
    ),
    test_file: "tests/add.test.js",
    others: &[("coin.js", JAVASCRIPT_COIN)],
    frame: (
        "const { test } = require('node:test'); const assert = require('node:assert');\n\
         const calc = require('../calc.js'); const coin = require('../coin.js');\n",
        "",
    ),
    test: |test| match test {
        Test::Zero => "test('zero', () => assert.equal(calc.add(0, 0), 0));\n",
        Test::More => "test('more', () => assert.equal(calc.add(0, 0), 0));\n",
        Test::Sum => "test('sum', () => assert.equal(calc.add(1, 2), 3));\n",
        Test::Weak => "test('sum', () => {});\n",
        Test::Skipped => "test.skip('sum', () => {});\n",
        Test::Coin => "test('coin', () => assert(coin()));\n",
        Test::FlakySum => "test('sum', () => assert(coin()));\n",
        Test::Clock => {
            "test('at ' + new Date().toISOString() + process.hrtime.bigint(), () => {});\n"
        }
        Test::Mul => "test('mul', () => assert.equal(calc.mul(2, 3), 6));\n",
    },
    hooks: &[
        (
            "prints that it passed",
            "{source}console.log('ok 2 - sum');\n",
            Reason::StillFailing,
        ),
        (
            "ends the process",
            "{source}process.exit(0);\n",
            Reason::TestsRemoved,
        ),
    ],
};

const JAVASCRIPT_COIN: &str = "const fs = require('fs');\nmodule.exports = () => {\n\
    const f = process.env.HOME + '/coin'; const c = fs.existsSync(f) ? +fs.readFileSync(f) : 0;\n\
    fs.writeFileSync(f, String(c + 1)); return c % 2 == 1;\n};\n";

pub const JEST: Kind = Kind {
    name: "JavaScript with a report like jest's",
    command: "test -d $COMMONTRACE_REPORTS && node run.js",
    others: &[
        ("coin.js", JAVASCRIPT_COIN),
        (
            "run.js",
            "const fs = require('fs'); const path = require('path'); const results = [];\n\
            global.test = (title, body) => { try { body(); results.push({ title, status: 'passed', ancestorTitles: ['calc'] }); }\n\
              catch (e) { results.push({ title, status: 'failed', ancestorTitles: ['calc'], failureMessages: [String(e)] }); } };\n\
            test.skip = (title) => results.push({ title, status: 'pending', ancestorTitles: ['calc'] });\n\
            const name = path.resolve('tests/add.test.js'); let message = ''; try { require(name); } catch (e) { message = String(e); }\n\
            const failed = message !== '' || results.some(r => r.status == 'failed');\n\
            fs.writeFileSync(process.env.COMMONTRACE_REPORTS + '/r.json', JSON.stringify({ numTotalTests: results.length,\n\
              testResults: [{ name, status: failed ? 'failed' : 'passed', message, assertionResults: results }] }));\n\
            process.exit(failed ? 1 : 0);\n",
        ),
    ],
    frame: (
        "const assert = require('assert'); const calc = require('../calc.js'); const coin = require('../coin.js');\n",
        "",
    ),
    hooks: &[(
        "ends the process",
        "{source}process.exit(0);\n",
        Reason::ReportMissing,
    )],
    ..NODE
};

pub const CARGO: Kind = Kind {
    name: "Rust with cargo",
    needs: &["sh", "-c", "true"],
    command: "cargo test",
    source: (
        "src/lib.rs",
        "pub fn add(a: i32, b: i32) -> i32 { a {op} b }\n{mul}pub fn mul(a: i32, b: i32) -> i32 { a * b }\n",
    ),
    test_file: "tests/it.rs",
    others: &[
        (
            "Cargo.toml",
            "[package]\nname = \"calc\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n\n[lib]\ndoctest = false\ntest = false\n",
        ),
        (
            "Cargo.lock",
            "version = 4\n\n[[package]]\nname = \"calc\"\nversion = \"0.1.0\"\n",
        ),
    ],
    frame: (
        "#![allow(dead_code)]\nfn coin() -> bool {\n    let f = std::env::var(\"HOME\").unwrap() + \"/coin\";\n    let c: u32 = std::fs::read_to_string(&f).ok().and_then(|t| t.parse().ok()).unwrap_or(0);\n    std::fs::write(&f, (c + 1).to_string()).unwrap();\n    c % 2 == 1\n}\n",
        "",
    ),
    test: |test| match test {
        Test::Zero => "#[test]\nfn zero() { assert_eq!(calc::add(0, 0), 0); }\n",
        Test::More => "#[test]\nfn more() { assert_eq!(calc::add(0, 0), 0); }\n",
        Test::Sum => "#[test]\nfn sum() { assert_eq!(calc::add(1, 2), 3); }\n",
        Test::Weak => "#[test]\nfn sum() {}\n",
        Test::Skipped => "#[test]\n#[ignore]\nfn sum() {}\n",
        Test::Coin => "#[test]\nfn coin_() { assert!(coin()); }\n",
        Test::FlakySum => "#[test]\nfn sum() { assert!(coin()); }\n",
        // The name of a compiled test is as old as the program.
        Test::Clock => "#[test]\nfn at_20261121() {}\n",
        Test::Mul => "#[test]\nfn mul() { assert_eq!(calc::mul(2, 3), 6); }\n",
    },
    hooks: &[
        (
            "prints that it passed",
            "pub fn add(a: i32, b: i32) -> i32 { use std::io::Write; writeln!(std::io::stdout(), \"test sum ... ok\").unwrap(); a * b }\n",
            Reason::ResultsDisagree,
        ),
        ("does not build", "pub fn add(\n", Reason::BuildBroken),
        (
            "ends the process",
            "pub fn add(_: i32, _: i32) -> i32 { println!(\"test sum ... ok\"); std::process::exit(0) }\n",
            Reason::NoTestsRan,
        ),
    ],
};

pub const GO: Kind = Kind {
    name: "Go",
    needs: &["go", "version"],
    command: "go test ./...",
    source: (
        "calc.go",
        "package calc\n\nfunc Add(a, b int) int { return a {op} b }\n{mul}func Mul(a, b int) int { return a * b }\n",
    ),
    test_file: "calc_test.go",
    others: &[
        ("go.mod", "module example.org/calc\n\ngo 1.19\n"),
        (
            "coin.go",
            "package calc\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nfunc coin() bool {\n\tf := os.Getenv(\"HOME\") + \"/coin\"\n\tb, _ := os.ReadFile(f)\n\tc, _ := strconv.Atoi(string(b))\n\tos.WriteFile(f, []byte(strconv.Itoa(c+1)), 0o600)\n\treturn c%2 == 1\n}\n",
        ),
    ],
    frame: (
        "package calc\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n\t\"time\"\n)\n\nvar _ = fmt.Sprint\nvar _ = time.Now\n",
        "",
    ),
    test: |test| match test {
        Test::Zero => "func TestZero(t *testing.T) { if Add(0, 0) != 0 { t.Fail() } }\n",
        Test::More => "func TestMore(t *testing.T) { if Add(0, 0) != 0 { t.Fail() } }\n",
        Test::Sum => "func TestSum(t *testing.T) { if Add(1, 2) != 3 { t.Fail() } }\n",
        Test::Weak => "func TestSum(t *testing.T) {}\n",
        Test::Skipped => "func TestSum(t *testing.T) { t.Skip() }\n",
        Test::Coin => "func TestCoin(t *testing.T) { if !coin() { t.Fail() } }\n",
        Test::FlakySum => "func TestSum(t *testing.T) { if !coin() { t.Fail() } }\n",
        Test::Clock => {
            "func TestAt(t *testing.T) { t.Run(fmt.Sprint(time.Now().UnixNano()), func(t *testing.T) {}) }\n"
        }
        Test::Mul => "func TestMul(t *testing.T) { if Mul(2, 3) != 6 { t.Fail() } }\n",
    },
    hooks: &[
        (
            "prints that it passed",
            "package calc\n\nimport \"fmt\"\n\nfunc Add(a, b int) int { fmt.Println(\"--- PASS: TestSum (0.00s)\"); return a * b }\n",
            Reason::StillFailing,
        ),
        (
            "does not build",
            "package calc\n\nfunc Add(\n",
            Reason::BuildBroken,
        ),
    ],
};
