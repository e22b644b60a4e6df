"""What the scenarios share: queries, accounts, and a record of every single response time.

The environment says what differs from run to run:

    LOAD_TIMES    file that every request is written to: name, status, milliseconds, one line each
    LOAD_QUERIES  `eight` (the queries below, again and again) or `distinct` (each asked once)
"""

import itertools
import os
import random

import gevent
from locust import events

# The eight searches of an agent's working day.
QUERIES = [
    "react hooks useState",
    "postgresql migration alembic",
    "docker compose healthcheck",
    "fastapi async sqlalchemy",
    "python error handling retry",
    "github actions ci pipeline",
    "jwt authentication middleware",
    "redis caching ttl pattern",
]


def queries(number):
    """Yields the queries of one user, of whom `number` says which one it is."""
    if os.environ.get("LOAD_QUERIES", "eight") == "eight":
        yield from itertools.islice(itertools.cycle(QUERIES), number % len(QUERIES), None)
    words = sorted({word for query in QUERIES for word in query.split()})
    chance = random.Random(number)
    for count in itertools.count():
        yield " ".join(chance.sample(words, 3)) + f" u{number}n{count}"


def begin_apart(number):
    """Lets an agent begin at a moment of its own: agents that know nothing of each other do not ask in step.

    Not before Locust has made all of them, which keeps it from waking anybody in time.
    """
    gevent.sleep(2 + random.Random(number).random() / 10)


def register(client):
    """Registers an account and returns the headers that its requests carry."""
    answer = client.post("/api/v1/keys", json={"display_name": "load"}, name="register")
    return {"X-API-Key": answer.json()["api_key"]}


def search(client, headers, query, **options):
    """Searches; an answer without the query's vector counts as an error."""
    with client.post(
        "/api/v1/traces/search",
        json={"q": query, "limit": 10},
        headers=headers,
        name="search",
        catch_response=True,
        **options,
    ) as answer:
        if answer.status_code != 200:
            answer.failure(f"status {answer.status_code}")
            return []
        found = answer.json()
        if found["degraded"]:
            answer.failure("answered by words alone")
        return found["results"]


# Locust's own percentiles are of rounded times, so every time is kept.
@events.init.add_listener
def record(environment, **_):
    path = os.environ.get("LOAD_TIMES")
    if not path:
        return
    times = open(path, "w", encoding="utf-8")

    @environment.events.request.add_listener
    def on_request(name, response_time, exception, response=None, **_):
        status = getattr(response, "status_code", 0) or 0
        outcome = "error" if exception else "ok"
        times.write(f"{name}\t{outcome}\t{status}\t{response_time:.3f}\n")

    @environment.events.quitting.add_listener
    def on_quitting(**_):
        times.close()
