-- What a process finds traces by that has no time to read them all: it opens this file, asks, and ends. All
-- of it is derived from `traces`, may be emptied at any time and is made again while a server or an
-- agent's tools run.

-- A row for each trace that can be found; a hidden trace has none.
CREATE TABLE search_documents (
    doc INTEGER PRIMARY KEY,
    trace_id UUID NOT NULL UNIQUE REFERENCES traces (id) ON DELETE CASCADE,
    -- The revision of the trace that it was made of, and by which rules.
    revision BIGINT NOT NULL,
    version INTEGER NOT NULL,
    -- The sum of all terms' weights.
    length INTEGER NOT NULL,
    -- The numbers of terms with their weights, to be scored by.
    postings BLOB NOT NULL
);

-- The numbers of terms, tags and error signatures in hexadecimal, to be found by; `rowid` is `doc`.
CREATE VIRTUAL TABLE search_terms USING fts5 (
    terms, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);
-- In how many documents a term is.
CREATE VIRTUAL TABLE search_frequencies USING fts5vocab (search_terms, row);

-- How many documents there are and how long they are together; one row.
CREATE TABLE search_totals (
    documents BIGINT NOT NULL,
    length BIGINT NOT NULL
);
INSERT INTO search_totals VALUES (0, 0);

CREATE TRIGGER search_document_added AFTER INSERT ON search_documents BEGIN
    UPDATE search_totals SET documents = documents + 1, length = length + new.length;
END;
CREATE TRIGGER search_document_changed AFTER UPDATE ON search_documents BEGIN
    UPDATE search_totals SET length = length + new.length - old.length;
END;
CREATE TRIGGER search_document_removed AFTER DELETE ON search_documents BEGIN
    UPDATE search_totals SET documents = documents - 1, length = length - old.length;
    DELETE FROM search_terms WHERE rowid = old.doc;
END;
