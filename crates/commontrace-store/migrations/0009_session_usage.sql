-- How much of the store each account's sessions take up, kept as it changes, because counting takes longer the more there is.

-- Bytes of what is kept of it: what it says of itself, its events, and large texts as they are compressed.
ALTER TABLE sessions ADD COLUMN stored_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE sessions SET stored_bytes = octet_length(header)
    + COALESCE((SELECT SUM(octet_length(e.event) + COALESCE(octet_length(e.large), 0))
                FROM session_events e WHERE e.session_key = sessions.key), 0)
    + COALESCE((SELECT SUM(octet_length(b.content))
                FROM session_blobs s JOIN blobs b ON b.hash = s.hash WHERE s.session_key = sessions.key), 0);

-- The sum over an account's sessions that are not deleted.
CREATE TABLE session_usage (
    user_id UUID NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    stored_bytes BIGINT NOT NULL
);
INSERT INTO session_usage (user_id, stored_bytes)
    SELECT user_id, CAST(SUM(stored_bytes) AS BIGINT) FROM sessions WHERE deleted_at IS NULL GROUP BY user_id;
