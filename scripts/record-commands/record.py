#!/usr/bin/env python3
"""Really runs commands that fail (or succeed loudly) and keeps what they print, for the tests and measurements of the hooks.

    scripts/with-docker.sh scripts/with-postgres.sh scripts/record-commands/record.py CASES.txt OUT.json \
        [--traces TRACES.txt] [--tools FOLDER] [--only ID]

Needs bash, git, python3, gcc, make, rustc and cargo, go, node and npm, sqlite3, psql and docker. FOLDER holds `py`, a virtual
environment with pytest, mypy, ruff, numpy, sqlalchemy, pydantic and django, and `node`, a folder in which typescript, eslint, express
and jest are installed. What a case installs is in its own files, but for the few that say otherwise.

A case is a project made anew in a temporary folder. Its lines:

    == ID FIELD [PROJECT]   begins it; PROJECT is the name of its folder
    @file PATH              and the lines after it: a file of the project
    ! COMMAND               is run first, and has to succeed
    $ COMMAND               is what is recorded; further lines belong to it
    ~ COMMAND               is run afterwards, whatever comes of it

The traces of TRACES.txt, which tells its form, are put into the rows of the same ID.

Every command is run twice, each time from the start: once with both its streams on one pipe, as an agent's shell has them
(`output`), once apart (`stdout`, `stderr`). Names of this machine, its user and its folders are replaced by neutral ones.
"""

import argparse
import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

USER = "ada"
SECONDS = 120


def parse(path):
    """Returns the cases of a file, in order."""
    cases, case, place = [], None, None
    for line in Path(path).read_text().splitlines():
        head, _, rest = line.partition(" ")
        if head == "==":
            name, field, *project = rest.split()
            case = {"id": name, "field": field, "project": (project or ["shop"])[0],
                    "files": {}, "before": [], "command": [], "after": []}
            cases.append(case)
            place = None
        elif case is None or (head == "#" and place is None):
            continue
        elif head == "@file":
            place = case["files"].setdefault(rest, [])
        elif head == "!":
            case["before"].append(rest)
            place = None
        elif head == "~":
            case["after"].append(rest)
            place = None
        elif head == "$":
            place = case["command"]
            place.append(rest)
        elif place is not None:
            place.append(line)
    for case in cases:
        case["command"] = "\n".join(case["command"]).strip("\n")
        case["files"] = {name: "\n".join(lines).rstrip("\n") + "\n" for name, lines in case["files"].items()}
    names = [case["id"] for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit(f"named twice: {', '.join(sorted(twice))}")
    return cases


def parse_traces(path):
    """Returns the traces of a file by the ids of their cases."""
    traces = {}
    for entry in re.split(r"^== ", Path(path).read_text(), flags=re.M)[1:]:
        name, title, tags, rest = entry.split("\n", 3)
        context, solution = rest.split("\n=>\n")
        traces[name] = {"title": title, "tags": tags.split(", "), "context": context.strip(), "solution": solution.strip()}
    return traces


class Place:
    """A home folder that looks like a person's, and the environment of their shell."""

    def __init__(self, root, tools):
        self.home = root / "home" / USER
        self.home.mkdir(parents=True)
        sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
        path = [f"{sysroot}/bin", "/usr/local/bin", "/usr/bin", "/bin"]
        if tools:
            path = [f"{tools}/py/bin", f"{tools}/node/node_modules/.bin", *path]
        self.env = {
            "HOME": str(self.home), "USER": USER, "LOGNAME": USER, "LANG": "C.UTF-8", "TERM": "dumb", "PATH": ":".join(path),
            "CARGO_HOME": str(self.home / ".cargo"), "CARGO_NET_OFFLINE": "true", "CARGO_TERM_COLOR": "never",
            "GOPROXY": "off", "GOFLAGS": "", "GOPATH": str(self.home / "go"), "GOCACHE": str(root / "gocache"),
            "npm_config_cache": str(self.home / ".npm"), "npm_config_update_notifier": "false",
            "npm_config_fund": "false", "npm_config_audit": "false",
            "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore",
            "GIT_CONFIG_NOSYSTEM": "1", "PYTHONDONTWRITEBYTECODE": "1", "PGOPTIONS": "-c client_min_messages=notice",
        }
        if tools:
            self.env["TOOLS"] = str(tools)
        swaps = {str(root): "", sysroot: "/usr/lib/rust", os.path.realpath(root): ""}
        if tools:
            real = os.path.realpath(f"{tools}/py/bin/python")
            library = Path(real).parent.parent
            swaps |= {f"{tools}/py": f"/home/{USER}/venv", f"{tools}/node": f"/home/{USER}", str(library): "/usr"}
            swaps[os.path.relpath(f"{tools}/node", self.home / "project")] = ".."
        postgres = os.environ.get("COMMONTRACE_TEST_POSTGRES_URL")
        if postgres:
            folder = postgres.split("host=")[1]
            self.env |= {"PGHOST": folder, "PGUSER": "postgres", "PGDATABASE": "postgres"}
            swaps[folder] = "/var/run/postgresql"
        docker = os.environ.get("DOCKER_HOST")
        if docker:
            self.env |= {"DOCKER_HOST": docker, "DOCKER_BUILDKIT": "0"}
            swaps[docker.removeprefix("unix://")] = "/var/run/docker.sock"
            base = os.environ["COMMONTRACE_TEST_DOCKER_IMAGE"]
            subprocess.run(["docker", "tag", base, "mini:1.0"], check=True)
            self.env["IMAGE"] = "mini:1.0"
            swaps[base] = "mini:1.0"
        self.swaps = sorted(swaps.items(), key=lambda swap: -len(swap[0]))
        for name, value in [("user.name", "Ada"), ("user.email", "ada@example.com"), ("init.defaultBranch", "main")]:
            subprocess.run(["git", "config", "--global", name, value], env=self.env, check=True)

    def neutral(self, text):
        """Puts neutral names in the place of this machine's."""
        for real, shown in self.swaps:
            text = text.replace(real, shown)
        host = socket.gethostname()
        text = re.sub(rf"\b{re.escape(host)}\b", "laptop", text)
        user = getpass.getuser()
        text = text.replace("/root/", f"/home/{USER}/")
        if user != "root":
            text = re.sub(rf"\b{re.escape(user)}\b", USER, text)
        return text

    def shell(self, command, folder, **streams):
        return subprocess.run(["bash", "-c", command], cwd=folder, env=self.env, stdin=subprocess.DEVNULL, timeout=SECONDS,
                              **streams)

    def run(self, case, **streams):
        """Makes the project, runs the command in it and takes it away again."""
        folder = self.home / case["project"]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in case["files"].items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        try:
            for command in case["before"]:
                done = self.shell(command, folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                if done.returncode:
                    raise RuntimeError(f"`{command}` failed: {done.stdout.decode(errors='replace')}")
            return self.shell(case["command"], folder, **streams)
        finally:
            for command in case["after"]:
                self.shell(command, folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            shutil.rmtree(folder, ignore_errors=True)

    def record(self, case):
        both = self.run(case, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        apart = self.run(case, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if both.returncode != apart.returncode:
            raise RuntimeError(f"ended once with {both.returncode} and once with {apart.returncode}")
        text = {"output": both.stdout, "stdout": apart.stdout, "stderr": apart.stderr}
        text = {name: self.neutral(bytes.decode(errors="replace").replace("\r\n", "\n")) for name, bytes in text.items()}
        return {"id": case["id"], "field": case["field"], "cwd": f"/home/{USER}/{case['project']}",
                "command": self.neutral(case["command"]), "exit_code": both.returncode, **text}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases")
    parser.add_argument("out")
    parser.add_argument("--tools", type=Path)
    parser.add_argument("--traces")
    parser.add_argument("--only", action="append", help="the ids, or the beginnings of ids, to record anew")
    args = parser.parse_args()
    cases = parse(args.cases)
    known = {}
    if args.only and os.path.exists(args.out):
        known = {row["id"]: row for row in json.loads(Path(args.out).read_text())}
    failed = []
    with tempfile.TemporaryDirectory(prefix="record-") as root:
        place = Place(Path(root), args.tools and args.tools.resolve())
        for case in cases:
            if args.only and not case["id"].startswith(tuple(args.only)):
                continue
            try:
                known[case["id"]] = place.record(case)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed.append(f"{case['id']}: {error}")
    traces = parse_traces(args.traces) if args.traces else {}
    for name, trace in traces.items():
        known[name]["trace"] = trace
    rows = [known[case["id"]] for case in cases if case["id"] in known]
    Path(args.out).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    for line in failed:
        print(line, file=sys.stderr)
    print(f"{len(rows)} of {len(cases)} recorded", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
