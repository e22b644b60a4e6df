-- What running the tests of a session proved of the trace that was made of it.

CREATE TABLE trace_evidence (
    trace_id UUID NOT NULL PRIMARY KEY REFERENCES traces (id) ON DELETE CASCADE,
    -- The session and the run that it comes from. Both may be gone: what was published stays with the trace.
    session_key UUID NOT NULL,
    run_id UUID NOT NULL,
    -- What trust may count: verified or refuted; NULL if it is neither.
    proof TEXT,
    -- Whether the text that it was given to shows the change that was verified.
    is_backed BOOLEAN NOT NULL,
    -- The trace's revision that it was given to.
    revision BIGINT NOT NULL,
    -- The session's events that it is about: those up to this number.
    events_through BIGINT NOT NULL,
    score DOUBLE PRECISION,
    -- What readers see at once, as JSON.
    summary TEXT NOT NULL,
    -- The signed verdict, as JSON.
    verdict TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX trace_evidence_by_session ON trace_evidence (session_key, trace_id);

-- How a model words what the session found out, as JSON; NULL where none was asked.
ALTER TABLE session_runs ADD COLUMN wording TEXT;
