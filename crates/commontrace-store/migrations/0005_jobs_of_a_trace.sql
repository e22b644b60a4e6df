-- The W3C trace context of the request that asked for a job, for the spans of whoever does it.
ALTER TABLE jobs ADD COLUMN traceparent TEXT;
