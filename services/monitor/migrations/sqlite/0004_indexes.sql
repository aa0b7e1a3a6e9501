-- Each question in the order in which it is answered, so that a year is not sorted for a page of it. The first also has
-- what `--by` looks through.
DROP INDEX events_by_time;
DROP INDEX events_by_resource;
CREATE INDEX events_by_time ON events (at_ns, bucket, revision, written_by);
CREATE INDEX events_by_resource ON events (bucket, key, at_ns, revision);
CREATE INDEX events_by_bucket ON events (bucket, at_ns, revision);
CREATE INDEX events_by_key ON events (key, at_ns, bucket, revision);
