"""20 agents that search ten times a second each.

    locust -f load/search.py --headless --users 20 --spawn-rate 20 --run-time 60s --host http://127.0.0.1:8000
"""

import itertools

import common
from locust import FastHttpUser, constant_throughput, task

numbers = itertools.count()


class Agent(FastHttpUser):
    # Ten requests a second, however long each takes; a slow answer is not made up for.
    wait_time = constant_throughput(10)

    def on_start(self):
        self.headers = common.register(self.client)
        number = next(numbers)
        self.queries = common.queries(number)
        common.begin_apart(number)

    @task
    def search(self):
        common.search(self.client, self.headers, next(self.queries))
