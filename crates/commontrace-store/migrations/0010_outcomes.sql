-- What came of a trace for those who have read it.

-- Which accounts have opened which traces lately: only who has read a trace may report what came of it. No ranking
-- reads this. It is written behind the answer and in batches, and may name what is gone by then.
CREATE TABLE trace_reads (
    user_id UUID NOT NULL,
    trace_id UUID NOT NULL,
    -- The newest revision that was read.
    revision BIGINT NOT NULL,
    read_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, trace_id)
);
CREATE INDEX trace_reads_by_time ON trace_reads (read_at);

-- The last report of each account on each trace from each environment.
CREATE TABLE outcomes (
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The SHA-256 of the environment, which may be too long for an index.
    environment_key BYTEA NOT NULL,
    -- The understood members of the environment, sorted, as JSON.
    environment TEXT NOT NULL,
    outcome TEXT NOT NULL,
    note TEXT,
    -- The trace's revision that it is about.
    revision BIGINT NOT NULL,
    -- Counts up with the reports of an account on a trace, so that the last is known whatever the clock says.
    number BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (trace_id, user_id, environment_key)
);
CREATE INDEX outcomes_by_user ON outcomes (user_id);

-- Reports on a trace's text per environment, counted as they come.
CREATE TABLE outcome_environments (
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    -- The revision since which the text is what it is: reports on an earlier text count no longer.
    text_revision BIGINT NOT NULL,
    environment_key BYTEA NOT NULL,
    environment TEXT NOT NULL,
    worked BIGINT NOT NULL,
    worked_with_changes BIGINT NOT NULL,
    did_not_work BIGINT NOT NULL,
    not_relevant BIGINT NOT NULL,
    -- All four together.
    reports BIGINT NOT NULL,
    PRIMARY KEY (trace_id, text_revision, environment_key)
);
CREATE INDEX outcome_environments_most
    ON outcome_environments (trace_id, text_revision, reports, environment_key);

-- Accounts by what they have reported on the text as it is, each counted once however many environments it has.
ALTER TABLE traces ADD COLUMN worked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE traces ADD COLUMN worked_with_changes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE traces ADD COLUMN did_not_work BIGINT NOT NULL DEFAULT 0;
ALTER TABLE traces ADD COLUMN not_relevant BIGINT NOT NULL DEFAULT 0;
-- Votes by accounts that have tried the solution and reported what came of it, which counts in their place.
ALTER TABLE traces ADD COLUMN replaced_up_votes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE traces ADD COLUMN replaced_down_votes BIGINT NOT NULL DEFAULT 0;
