-- The node's last lease, kept before it counts. Its moment is on the boot clock, and means nothing after another boot.
CREATE TABLE lease (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    boot     TEXT NOT NULL,
    asked_at INTEGER NOT NULL,          -- milliseconds
    lease_ms INTEGER NOT NULL,
    stop_ms  INTEGER NOT NULL
) STRICT;
