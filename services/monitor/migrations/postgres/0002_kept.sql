-- As SQLite's step of this name says.
CREATE TABLE kept (
    node     TEXT COLLATE "C" NOT NULL,
    uuid     TEXT COLLATE "C" NOT NULL,
    vm       TEXT COLLATE "C" NOT NULL,
    project  TEXT COLLATE "C" NOT NULL,
    disk_gib BIGINT NOT NULL,
    kept_ns  BIGINT NOT NULL,
    seen_ns  BIGINT NOT NULL,
    gone_ns  BIGINT,
    PRIMARY KEY (node, uuid, kept_ns)
);
CREATE INDEX kept_by_vm ON kept (vm, kept_ns);
