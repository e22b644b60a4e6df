"""The rehearsal that scripts/rehearse-deploy.sh prepares: processes, load, and what clients saw.

Needs PyYAML, and in PATH haproxy and redis-server. The first argument is the program.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
with open(os.path.join(ROOT, "compose.yaml")) as compose:
    SERVICES = yaml.safe_load(compose)["services"]
CLIENTS = 8
# Requests that have to be answered after each event before the next one comes.
REQUESTS = 400
PATIENCE = 60
LIMITS = "RATE_LIMIT_READ_PER_MINUTE RATE_LIMIT_WRITE_PER_MINUTE RATE_LIMIT_REGISTER_PER_HOUR".split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def until(what, is_so):
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"error: {what}: not within {PATIENCE} s")
        time.sleep(0.02)


def ask(port, method, path, body=None, headers=None, connection=None):
    """Returns status, body and headers of an answer; raises OSError or HTTPException if none came."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = None if body is None else json.dumps(body)
    connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def status(port, path):
    try:
        return ask(port, "GET", path)[0]
    except OSError:
        return 0


class Deployment:
    """The processes, each with its log in `work`."""

    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        self.ports = {name: free_port() for name in ("node-1", "node-2", "worker", "clients", "operators", "redis")}
        self.running = {}

    def does_not_know(self):
        """What compose.yaml gives to the program and the program has no use for."""
        unknown = []
        shown = subprocess.check_output([self.binary, "config", "show", "--json"], env=self.environment("node-1"))
        settings = {line["env"] for line in json.loads(shown)["settings"]}
        for name in ("node-1", "node-2", "worker"):
            service = SERVICES[name]
            unknown += [f"{name}: setting {env}" for env in service["environment"] if env not in settings]
            if not self.knows(service["command"]):
                unknown.append(f"{name}: command {' '.join(service['command'])}")
        return unknown

    def knows(self, command):
        return subprocess.run([self.binary, *command, "--help"], capture_output=True).returncode == 0

    def start(self, name, command, env=None):
        log = open(os.path.join(self.work, name + ".log"), "ab")
        self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

    def redis(self):
        conf = os.path.join(ROOT, "deploy/redis/redis.conf")
        port = str(self.ports["redis"])
        flags = ["--port", port, "--bind", "127.0.0.1", "--requirepass", "rehearsal", "--dir", self.work]
        self.start("redis", ["redis-server", conf, *flags])

    def environment(self, name):
        env = {"PATH": os.environ["PATH"], "HOME": self.work, "NO_COLOR": "1"}
        env["DATABASE_URL"] = os.environ["COMMONTRACE_TEST_POSTGRES_URL"]
        env["REDIS_URL"] = f"redis://:rehearsal@127.0.0.1:{self.ports['redis']}/0"
        env["COMMONTRACE_LISTEN"] = f"127.0.0.1:{self.ports[name]}"
        env["TRUSTED_PROXIES"] = "127.0.0.1/32"
        # Shorter than in compose.yaml, and long enough.
        env["COMMONTRACE_SHUTDOWN_DRAIN_SECONDS"] = "3"
        env["EMBEDDING_PROVIDER"] = "none"
        env.update(dict.fromkeys(LIMITS, "10000000"))
        return env

    def node(self, name):
        command = SERVICES[name]["command"]
        if not self.knows(command):
            command = ["serve"]
        self.start(name, [self.binary, *command], self.environment(name))

    def worker(self):
        command = SERVICES["worker"]["command"]
        if self.knows(command):
            self.start("worker", [self.binary, *command], self.environment("worker"))
            until("the worker is well", lambda: status(self.ports["worker"], "/health/live") == 200)
            until("the worker has metrics", lambda: status(self.ports["worker"], "/metrics") == 200)

    def traces(self):
        stats = [self.binary, "admin", "stats", "--json"]
        return json.loads(subprocess.check_output(stats, env=self.environment("node-1")))["traces"]

    def balancer(self):
        at = [f"127.0.0.1:{self.ports[name]}" for name in ("clients", "operators", "node-1", "node-2")]
        config = subprocess.check_output([os.path.join(ROOT, "scripts/local-haproxy-config.sh"), *at])
        path = os.path.join(self.work, "haproxy.cfg")
        with open(path, "wb") as file:
            file.write(config)
        self.start("balancer", ["haproxy", "-db", "-f", path])

    def balancer_says(self, metric):
        text = ask(self.ports["operators"], "GET", "/metrics")[1]
        return int(re.search(rf'^{metric}{{proxy="nodes"}} (\d+)', text, re.M)[1])

    def in_balance(self):
        return self.balancer_says("haproxy_backend_active_servers")

    def end(self, name, how):
        process = self.running.pop(name)
        process.send_signal(how)
        return process.wait(PATIENCE)

    def end_all(self):
        for name in list(self.running):
            try:
                self.end(name, signal.SIGTERM)
            except subprocess.TimeoutExpired:
                say(f"{name} did not end by SIGTERM")


class Load:
    """Clients that search, read and contribute through the balancer, and note what went wrong."""

    def __init__(self, port):
        self.port, self.answered, self.failures, self.acknowledged = port, 0, [], []
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def client(self, n):
        key = json.loads(ask(self.port, "POST", "/api/v1/keys", {})[1])["api_key"]
        connection, mine, number = None, [], 0
        while not self.stop.is_set():
            number += 1
            title = f"client {n} meets problem {number}"
            trace = {
                "title": title,
                "context_text": f"{title}: dependency failed to start: container db is unhealthy",
                "solution_text": "Give the service a healthcheck with pg_isready and wait for service_healthy.",
                "tags": ["docker"],
            }
            kind = number % 10
            if kind == 0:
                request = ("POST", "/api/v1/traces", trace, {"Idempotency-Key": str(uuid.uuid4())}, 202)
            elif kind < 3 and mine:
                request = ("GET", f"/api/v1/traces/{mine[-1]}", None, {}, 200)
            else:
                request = ("POST", "/api/v1/traces/search", {"q": f"problem {number % 50} unhealthy"}, {}, 200)
            method, path, body, headers, expected = request
            # Some clients keep their connection, some take a new one for each request.
            if connection is None or n % 2:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                got, text, _ = ask(self.port, method, path, body, {"X-API-Key": key, **headers}, connection)
            except (OSError, http.client.HTTPException) as err:
                got, text, connection = 0, repr(err), None
            with self.lock:
                self.answered += 1
                if got != expected:
                    self.failures.append(f"{method} {path}: {got} {text[:200]}")
                elif kind == 0:
                    mine.append(json.loads(text)["id"])
                    self.acknowledged.append(mine[-1])

    def goes_on(self):
        enough = self.answered + REQUESTS
        until("the load is answered", lambda: self.answered >= enough)

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE)


def rehearse(deployment):
    wrong = [f"compose.yaml, {what} is unknown to the program" for what in deployment.does_not_know()]
    port = deployment.ports["clients"]
    deployment.redis()
    # Both at once on an empty database: one of them makes the schema.
    deployment.node("node-1")
    deployment.node("node-2")
    deployment.worker()
    deployment.balancer()
    until("both nodes are in balance", lambda: status(port, "/health/ready") == 200 and deployment.in_balance() == 2)
    before = deployment.traces()
    load = Load(port)
    load.goes_on()

    def event(what, happens):
        answered, failed = load.answered, len(load.failures)
        result = happens()
        load.goes_on()
        say(f"{what}: {load.answered - answered} requests, {len(load.failures) - failed} failed")
        return result

    for name in ("node-1", "node-2"):
        event(f"{name} is killed", lambda: deployment.end(name, signal.SIGKILL))
        until("the balancer has noticed", lambda: deployment.in_balance() == 1)
        event(f"{name} is back", lambda: deployment.node(name))
        until("it is in balance again", lambda: deployment.in_balance() == 2)
    for name in ("node-1", "node-2"):
        code = event(f"{name} is told to stop", lambda: deployment.end(name, signal.SIGTERM))
        if code != 0:
            wrong.append(f"{name} ended with {code}")
        until("the balancer has noticed", lambda: deployment.in_balance() == 1)
        event(f"{name} is back", lambda: deployment.node(name))
        until("it is in balance again", lambda: deployment.in_balance() == 2)
    load.finish()
    wrong += load.failures

    key = json.loads(ask(port, "POST", "/api/v1/keys", {})[1])["api_key"]
    lost = [id for id in load.acknowledged if ask(port, "GET", f"/api/v1/traces/{id}", None, {"X-API-Key": key})[0] != 200]
    wrong += [f"acknowledged and lost: {id}" for id in lost]
    twice = deployment.traces() - before - len(load.acknowledged)
    if twice and not load.failures:
        wrong.append(f"{twice} more traces are stored than were acknowledged")
    repeated = deployment.balancer_says("haproxy_backend_retry_warnings_total")
    say(
        f"{load.answered} requests, of which the balancer repeated {repeated}; "
        f"{len(load.acknowledged)} contributions acknowledged, {len(lost)} lost, {twice} stored twice"
    )

    if status(port, "/metrics") != 404:
        wrong.append("/metrics can be read through the balancer")
    text = ask(deployment.ports["operators"], "GET", "/metrics")[1]
    for file in ("deploy/prometheus/alerts.yml", "deploy/grafana/dashboards/commontrace.json"):
        with open(os.path.join(ROOT, file)) as opened:
            for name in sorted(set(re.findall(r"\bhaproxy_\w+", opened.read()))):
                if not re.search(rf"^{name}\b", text, re.M):
                    wrong.append(f"{file} asks for {name}, which the balancer does not have")

    for name in ("node-1", "node-2"):
        deployment.end(name, signal.SIGTERM)
    until("the balancer has noticed", lambda: deployment.in_balance() == 0)
    got, text, headers = ask(port, "GET", "/api/v1/tags")
    if (got, json.loads(text)["status"], headers["Retry-After"]) != (503, 503, "5"):
        wrong.append(f"without a node the balancer answers {got} {text}")
    return wrong


def main():
    work = tempfile.mkdtemp(prefix="commontrace-rehearsal.")
    deployment = Deployment(sys.argv[1], work)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        wrong = rehearse(deployment)
    except BaseException:
        for name in os.listdir(work):
            if name.endswith(".log"):
                with open(os.path.join(work, name), errors="replace") as log:
                    print(f"--- {name}", *log.readlines()[-15:], sep="\n", file=sys.stderr)
        raise
    finally:
        deployment.end_all()
        shutil.rmtree(work, ignore_errors=True)
    for line in wrong[:40]:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


main()
