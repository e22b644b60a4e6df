"""Agents at work: of 100 requests 90 search, 8 read a trace that was found, 2 contribute one.

    locust -f load/mixed.py --headless --users 20 --spawn-rate 20 --run-time 60s --host http://127.0.0.1:8000
"""

import itertools
import random

import common
from locust import FastHttpUser, constant_throughput, task

numbers = itertools.count()


class Agent(FastHttpUser):
    wait_time = constant_throughput(10)

    def on_start(self):
        self.number = next(numbers)
        self.chance = random.Random(self.number)
        self.headers = common.register(self.client)
        self.queries = common.queries(self.number)
        self.found = []
        self.written = 0
        common.begin_apart(self.number)

    @task(90)
    def search(self):
        results = common.search(self.client, self.headers, next(self.queries))
        self.found = [result["id"] for result in results] or self.found

    @task(8)
    def read(self):
        if not self.found:
            return self.search()
        trace = self.chance.choice(self.found)
        self.client.get(f"/api/v1/traces/{trace}", headers=self.headers, name="read")

    @task(2)
    def write(self):
        self.written += 1
        query = next(self.queries)
        words = " ".join(self.chance.sample(query.split(), 2))
        trace = {
            "title": f"{words} stops after the upgrade, case {self.number}-{self.written}",
            "context_text": f"After the upgrade of {query} the worker stops with "
            f"`StaleHandleError: handle {self.number * 1000 + self.written}` as soon as two jobs run at once.",
            "solution_text": f"The pool of {words} kept a connection over the fork. Open it in the child: "
            "`pool.reconnect()` in the hook after the fork, and set `pool_pre_ping = true`.",
            "tags": ["load", "python"],
        }
        self.client.post("/api/v1/traces", json=trace, headers=self.headers, name="write")
