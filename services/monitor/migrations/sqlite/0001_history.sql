-- Every change of every document. A write is told from another by its bucket, revision and time:
-- a bucket that was lost and made anew counts its revisions from the beginning.
CREATE TABLE events (
    id       INTEGER PRIMARY KEY,
    at_ns    INTEGER NOT NULL,
    bucket   TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    deleted  INTEGER NOT NULL,
    summary  TEXT    NOT NULL,
    -- The document as JSON; none for a deletion, or if it was too large.
    document TEXT,
    UNIQUE (bucket, revision, at_ns)
);
CREATE INDEX events_by_time ON events (at_ns);
CREATE INDEX events_by_resource ON events (bucket, key, at_ns);

-- How far each bucket's stream has been read without a gap, and which stream that was.
CREATE TABLE reached (
    bucket   TEXT PRIMARY KEY,
    made_ns  INTEGER NOT NULL,
    revision INTEGER NOT NULL
);

-- What was measured of each completed migration: sizes in bytes, times in milliseconds.
CREATE TABLE measured (
    migration    TEXT    NOT NULL,
    created_ns   INTEGER NOT NULL,
    at_ns        INTEGER NOT NULL,
    vm           TEXT    NOT NULL,
    from_node    TEXT    NOT NULL,
    to_node      TEXT    NOT NULL,
    total_ms     INTEGER NOT NULL,
    downtime_ms  INTEGER NOT NULL,
    pause_ms     INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    disk_bytes   INTEGER NOT NULL,
    PRIMARY KEY (migration, created_ns)
);
CREATE INDEX measured_by_vm ON measured (vm, at_ns);
