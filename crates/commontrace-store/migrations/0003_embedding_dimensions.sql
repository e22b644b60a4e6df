-- One model may make vectors of several lengths. While a store moves from one to the other, both
-- are kept. SQLite cannot change a primary key, so the table is made anew.
ALTER TABLE embeddings RENAME TO embeddings_by_model;

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
    PRIMARY KEY (trace_id, model_id, model_version, dimensions)
);

INSERT INTO embeddings
SELECT trace_id, model_id, model_version, dimensions, revision, vector, created_at
FROM embeddings_by_model;

DROP TABLE embeddings_by_model;
