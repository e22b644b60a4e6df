-- A vote is about the text that its voter read. When that text is replaced, the vote is kept and
-- stands no longer, and its voter may vote on the new text.

-- The trace's revision that was voted on.
ALTER TABLE votes ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
UPDATE votes SET revision = (SELECT t.revision FROM traces t WHERE t.id = votes.trace_id);

-- The revision since which the title, the problem and the solution are what they are: votes on it
-- and on later ones, which differ in other parts, are the ones that count.
ALTER TABLE traces ADD COLUMN text_revision BIGINT NOT NULL DEFAULT 1;
UPDATE traces SET text_revision = revision;
