-- What PostgreSQL searches traces by. All of it is derived from `traces` and `embeddings`: it may be
-- emptied at any time and is made again while the server runs. The vectors are in a table of their
-- own, `search_vectors`, which needs the extension pgvector and is created where that is there.

-- A row for each trace that can be found; a hidden trace has none.
CREATE TABLE search_documents (
    trace_id UUID NOT NULL PRIMARY KEY REFERENCES traces (id) ON DELETE CASCADE,
    -- The revision of the trace that it was made of, and by which rules.
    revision BIGINT NOT NULL,
    version INTEGER NOT NULL,
    -- The sum of all terms' weights.
    length INTEGER NOT NULL,
    -- The numbers of terms, tags and error signatures, to be found by.
    terms INTEGER[] NOT NULL,
    -- The numbers of terms with their weights, to be scored by.
    postings BYTEA NOT NULL
-- Kept in the row and not compressed as far as a page allows, because a search reads many rows.
) WITH (toast_tuple_target = 8160);
ALTER TABLE search_documents
    ALTER COLUMN terms SET STORAGE EXTERNAL, ALTER COLUMN postings SET STORAGE EXTERNAL;
-- Without a list of pending entries, which every search would have to read from end to end.
CREATE INDEX search_documents_terms ON search_documents USING gin (terms) WITH (fastupdate = off);

-- Numbers for the models that vectors come from.
CREATE TABLE search_models (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id TEXT NOT NULL,
    model_version TEXT NOT NULL,
    dimensions BIGINT NOT NULL,
    UNIQUE (model_id, model_version, dimensions)
);

-- Which servers search with which model, and when they said so last.
CREATE TABLE search_uses (
    model INTEGER NOT NULL REFERENCES search_models (id) ON DELETE CASCADE,
    node UUID NOT NULL,
    used_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (model, node)
);

-- Counts that ranking needs: how many documents have a term, how many there are and how long they
-- are together, how many vectors a model has. Writers do not touch them, or they would wait for each
-- other at every common word: they note what they change, and the notes are added up now and then.
CREATE TABLE search_terms (
    term INTEGER NOT NULL PRIMARY KEY,
    documents BIGINT NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE search_totals (
    -- `documents`, `length`, or `vectors` with a model's number.
    name TEXT NOT NULL PRIMARY KEY,
    total BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE search_changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- 1 for what was added and -1 for what is gone.
    sign INTEGER NOT NULL,
    -- Of a document.
    length INTEGER,
    terms INTEGER[],
    -- Of a vector.
    model INTEGER
);

CREATE FUNCTION search_note_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO search_changes (sign, length, terms) VALUES (-1, OLD.length, OLD.terms);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO search_changes (sign, length, terms) VALUES (1, NEW.length, NEW.terms);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER search_note_document AFTER INSERT OR UPDATE OR DELETE ON search_documents
    FOR EACH ROW EXECUTE FUNCTION search_note_document();

CREATE FUNCTION search_note_vector() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO search_changes (sign, model) VALUES (-1, OLD.model);
    ELSE
        INSERT INTO search_changes (sign, model) VALUES (1, NEW.model);
    END IF;
    RETURN NULL;
END
$$;

-- Whether a trace has an end is asked of every candidate, and few traces have one.
CREATE INDEX traces_ending ON traces (id, valid_until) WHERE valid_until IS NOT NULL;

-- The traces that come first where tags alone decide.
CREATE INDEX traces_trusted ON traces (trust_score) WHERE trust_score > 0;
