-- Runs that find out what a session is worth: its tests before and after the fix, and its reasoning.

CREATE TABLE session_runs (
    id UUID NOT NULL PRIMARY KEY,
    session_key UUID NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    -- queued, preparing, running, judging, done, failed or cancelled.
    state TEXT NOT NULL,
    -- What was asked for, as JSON.
    options TEXT NOT NULL,
    -- The session's events that it is about: those up to this number.
    events_through BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    lease UUID,
    leased_until TIMESTAMPTZ,
    cancel_requested BOOLEAN NOT NULL,
    -- Where it is, as JSON.
    progress TEXT,
    -- What running the tests gave, as JSON: kept as soon as it is known, so that nothing runs twice.
    verification TEXT,
    -- The signed verdict, as JSON.
    verdict TEXT,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ
);
-- A session has one run at a time.
CREATE UNIQUE INDEX session_runs_active ON session_runs (session_key) WHERE finished_at IS NULL;
CREATE INDEX session_runs_due ON session_runs (created_at, id) WHERE finished_at IS NULL;
CREATE INDEX session_runs_newest ON session_runs (session_key, created_at, id);
