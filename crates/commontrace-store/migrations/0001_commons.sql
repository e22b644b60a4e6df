-- The commons: accounts, traces and what people say about them.
-- Runs unchanged on SQLite and PostgreSQL: SQLite takes any type name and stores what it is given.

-- Facts about the store itself, such as the generated key that API keys are hashed with.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE users (
    id UUID NOT NULL PRIMARY KEY,
    email TEXT UNIQUE,
    display_name TEXT,
    can_contribute BOOLEAN NOT NULL,
    is_moderator BOOLEAN NOT NULL,
    is_seed BOOLEAN NOT NULL,
    -- Votes that the account's traces have received, each counted once.
    up_votes BIGINT NOT NULL,
    down_votes BIGINT NOT NULL,
    platform TEXT,
    skill_version TEXT,
    install_source TEXT,
    last_seen_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE api_keys (
    hash BYTEA NOT NULL PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

CREATE TABLE traces (
    id UUID NOT NULL PRIMARY KEY,
    contributor_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    context_text TEXT NOT NULL,
    solution_text TEXT NOT NULL,
    tags JSONB NOT NULL,
    -- The environment it was written in, understood members only.
    context JSONB NOT NULL,
    metadata_json JSONB,
    agent_model TEXT,
    agent_version TEXT,
    is_seed BOOLEAN NOT NULL,
    status TEXT NOT NULL,
    trust_score DOUBLE PRECISION NOT NULL,
    up_votes BIGINT NOT NULL,
    down_votes BIGINT NOT NULL,
    -- Times somebody else opened it; no ranking reads this.
    retrieval_count BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    review_after TIMESTAMPTZ,
    watch_condition TEXT,
    valid_from TIMESTAMPTZ,
    valid_until TIMESTAMPTZ,
    -- Flags that no moderator has dealt with, and when the last of them came.
    flag_count BIGINT NOT NULL,
    flagged_at TIMESTAMPTZ,
    hidden_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- When anything that a search index keeps of it last changed.
    changed_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX traces_newest ON traces (created_at, id);
CREATE INDEX traces_by_contributor ON traces (contributor_id, created_at, id);
CREATE INDEX traces_seed ON traces (created_at, id) WHERE is_seed;
CREATE INDEX traces_changed ON traces (changed_at, id);
CREATE INDEX traces_flagged ON traces (flagged_at, id) WHERE flagged_at IS NOT NULL;

-- Traces that are gone, so that an index which was not told can catch up and nothing that was
-- deleted is imported again.
CREATE TABLE deleted_traces (
    id UUID NOT NULL PRIMARY KEY,
    deleted_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX deleted_traces_by_time ON deleted_traces (deleted_at, id);

CREATE TABLE tags (
    name TEXT NOT NULL PRIMARY KEY,
    trace_count BIGINT NOT NULL
);

CREATE TABLE trace_tags (
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (trace_id, tag)
);
CREATE INDEX trace_tags_newest ON trace_tags (tag, created_at, trace_id);

CREATE TABLE relations (
    source_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    target_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    relationship_type TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (source_id, target_id, relationship_type)
);
CREATE INDEX relations_by_target ON relations (target_id);

-- What a trace said before its current revision.
CREATE TABLE revisions (
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL,
    title TEXT NOT NULL,
    context_text TEXT NOT NULL,
    solution_text TEXT NOT NULL,
    tags JSONB NOT NULL,
    -- Who replaced it, and by which amendment if it was not an edit.
    replaced_by UUID NOT NULL,
    amendment_id UUID,
    replaced_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (trace_id, revision)
);

CREATE TABLE votes (
    id UUID NOT NULL PRIMARY KEY,
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    voter_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    vote_type TEXT NOT NULL,
    feedback_tag TEXT,
    feedback_text TEXT,
    voter_context JSONB,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (trace_id, voter_id)
);
CREATE INDEX votes_by_voter ON votes (voter_id);

-- Votes received per contributor and tag of the trace that was voted on.
CREATE TABLE reputations (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    up_votes BIGINT NOT NULL,
    down_votes BIGINT NOT NULL,
    PRIMARY KEY (user_id, tag)
);

CREATE TABLE amendments (
    id UUID NOT NULL PRIMARY KEY,
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    submitter_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    improved_solution TEXT NOT NULL,
    explanation TEXT NOT NULL,
    status TEXT NOT NULL,
    decided_by UUID,
    decided_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX amendments_by_trace ON amendments (trace_id, created_at, id);

CREATE TABLE flags (
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    category TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    -- Set when a moderator restores the trace: the flag is kept but counts no longer.
    resolved_at TIMESTAMPTZ,
    PRIMARY KEY (trace_id, user_id)
);

-- What moderators and the operator did. Outlives the traces it speaks of.
CREATE TABLE audit_log (
    id UUID NOT NULL PRIMARY KEY,
    actor_id UUID,
    action TEXT NOT NULL,
    trace_id UUID,
    detail TEXT,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX audit_log_by_time ON audit_log (created_at, id);

-- Answers already given, so that a repeated request is answered again and not carried out again.
CREATE TABLE idempotency_keys (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    response JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);

-- Vectors, per model, so that several models coexist while a store moves from one to another.
CREATE TABLE embeddings (
    trace_id UUID NOT NULL REFERENCES traces (id) ON DELETE CASCADE,
    model_id TEXT NOT NULL,
    model_version TEXT NOT NULL,
    dimensions BIGINT NOT NULL,
    -- The revision of the trace that was embedded.
    revision BIGINT NOT NULL,
    -- 32-bit little-endian floats.
    vector BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (trace_id, model_id, model_version)
);

-- Work to do later, enqueued in the transaction that makes it necessary.
CREATE TABLE jobs (
    id UUID NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    -- Which workers may take it; for embeddings, the model.
    queue TEXT NOT NULL,
    subject_id UUID NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    run_at TIMESTAMPTZ NOT NULL,
    lease UUID,
    leased_until TIMESTAMPTZ,
    last_error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (kind, queue, subject_id)
);
CREATE INDEX jobs_due ON jobs (kind, queue, state, run_at);
CREATE INDEX jobs_by_subject ON jobs (subject_id);

-- What the plugin's triggers did, one row per account and session of theirs.
CREATE TABLE trigger_reports (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    trigger_stats JSONB NOT NULL,
    searches_fired BIGINT,
    traces_consumed BIGINT,
    resolutions_total BIGINT,
    resolutions_assisted BIGINT,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, session_id)
);
