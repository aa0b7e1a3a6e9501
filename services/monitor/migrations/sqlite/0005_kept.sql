-- The disks that were kept of deleted servers, as the nodes' documents tell of them: those are many, and say the same for long.
CREATE TABLE kept (
    node     TEXT    NOT NULL,
    -- Of the server that the disk was of.
    uuid     TEXT    NOT NULL,
    vm       TEXT    NOT NULL,
    project  TEXT    NOT NULL,
    disk_gib INTEGER NOT NULL,
    kept_ns  INTEGER NOT NULL,
    -- When it was written last that it is there, and the first time after that that it is not.
    seen_ns  INTEGER NOT NULL,
    gone_ns  INTEGER,
    PRIMARY KEY (node, uuid, kept_ns)
);
CREATE INDEX kept_by_vm ON kept (vm, kept_ns);
