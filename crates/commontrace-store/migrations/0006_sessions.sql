-- Recorded debugging sessions: what they say of themselves, what happened in them, and the large texts of both.

CREATE TABLE sessions (
    key UUID NOT NULL PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The client's id or one made for it: unique within the account, so that nobody can take another's.
    id TEXT NOT NULL,
    -- What it was created with; the same again is answered the same.
    content_hash BYTEA NOT NULL,
    developer_id TEXT NOT NULL,
    bug_id TEXT,
    repo_name TEXT NOT NULL,
    -- The recording tool; NULL if a client posted it.
    format TEXT,
    start_time TIMESTAMPTZ NOT NULL,
    -- The rest of what it says of itself, as JSON.
    header TEXT NOT NULL,
    -- How many events there are, which is the number of the last.
    last_seq BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- It is gone for everybody, and what it leaves is being removed.
    deleted_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX sessions_by_id ON sessions (user_id, id) WHERE deleted_at IS NULL;
CREATE INDEX sessions_newest ON sessions (user_id, created_at, key);
CREATE INDEX sessions_idle ON sessions (updated_at, key);
CREATE INDEX sessions_deleted ON sessions (key) WHERE deleted_at IS NOT NULL;

CREATE TABLE session_events (
    session_key UUID NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    -- 1, 2, 3 and so on, in the order in which they were stored.
    seq BIGINT NOT NULL,
    -- The client's or the recording tool's id; what comes again is not stored again.
    event_id TEXT NOT NULL,
    -- When it happened; where nobody knows, when the one before it did.
    at TIMESTAMPTZ NOT NULL,
    -- As JSON, without the large texts.
    event TEXT NOT NULL,
    -- Where the large texts belong: a JSON list of pairs of a JSON pointer and a blob's hash.
    large TEXT,
    PRIMARY KEY (session_key, seq),
    UNIQUE (session_key, event_id)
);
CREATE INDEX session_events_in_time ON session_events (session_key, at, seq);

-- Large texts and raw records, each once, named by the SHA-256 of what they say.
CREATE TABLE blobs (
    hash BYTEA NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    -- Compressed by zlib.
    content BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- Which sessions need a blob: one that none needs is removed.
CREATE TABLE session_blobs (
    session_key UUID NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    hash BYTEA NOT NULL REFERENCES blobs (hash),
    PRIMARY KEY (session_key, hash)
);
CREATE INDEX session_blobs_by_hash ON session_blobs (hash);
