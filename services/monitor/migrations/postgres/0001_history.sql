-- The tables of SQLite, where what each holds is said, for PostgreSQL. Names are compared byte by byte, as there; whether
-- a document was deleted is a number, as there, so that one text of SQL asks both.
CREATE TABLE events (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ns      BIGINT NOT NULL,
    bucket     TEXT COLLATE "C" NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    revision   BIGINT NOT NULL,
    deleted    BIGINT NOT NULL,
    summary    TEXT NOT NULL,
    document   TEXT,
    written_by TEXT COLLATE "C",
    why        TEXT,
    UNIQUE (bucket, revision, at_ns)
);
CREATE INDEX events_by_time ON events (at_ns, bucket, revision);
CREATE INDEX events_by_resource ON events (bucket, key, at_ns, revision);
CREATE INDEX events_by_bucket ON events (bucket, at_ns, revision);
CREATE INDEX events_by_key ON events (key, at_ns, bucket, revision);

CREATE TABLE reached (
    bucket   TEXT COLLATE "C" PRIMARY KEY,
    made_ns  BIGINT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE measured (
    migration    TEXT COLLATE "C" NOT NULL,
    created_ns   BIGINT NOT NULL,
    at_ns        BIGINT NOT NULL,
    vm           TEXT COLLATE "C" NOT NULL,
    from_node    TEXT NOT NULL,
    to_node      TEXT NOT NULL,
    total_ms     BIGINT NOT NULL,
    downtime_ms  BIGINT NOT NULL,
    pause_ms     BIGINT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    disk_bytes   BIGINT NOT NULL,
    PRIMARY KEY (migration, created_ns)
);
CREATE INDEX measured_by_vm ON measured (vm, at_ns);

CREATE TABLE seen (
    outage TEXT COLLATE "C" NOT NULL,
    vm     TEXT COLLATE "C" NOT NULL,
    probe  TEXT COLLATE "C" NOT NULL,
    at_ns  BIGINT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (outage, vm, probe)
);
CREATE INDEX seen_by_time ON seen (at_ns);
