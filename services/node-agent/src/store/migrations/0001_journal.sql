-- What the agent must not forget. Bodies are JSON; the columns beside them are for looking things up.
CREATE TABLE node (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL              -- the highest epoch seen
) STRICT;
INSERT INTO node (id, epoch) VALUES (1, 0);

CREATE TABLE servers (
    uuid       TEXT PRIMARY KEY,
    vm         TEXT NOT NULL,
    generation INTEGER NOT NULL,        -- the newest seen
    granted    INTEGER NOT NULL,        -- the newest granted to this node
    body       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE operations (
    number    INTEGER PRIMARY KEY,      -- in the order of acceptance
    server    TEXT NOT NULL,            -- the server's UUID, or name:NAME if none is known
    verb      TEXT NOT NULL,
    operation TEXT NOT NULL,
    work      TEXT NOT NULL,
    progress  TEXT NOT NULL,
    working   INTEGER NOT NULL,
    UNIQUE (server, verb, operation)
) STRICT;
CREATE INDEX operations_working ON operations (working) WHERE working = 1;

-- Migrations that may no longer begin here, since they were broken off.
CREATE TABLE closed_migrations (
    number    INTEGER PRIMARY KEY,
    migration TEXT NOT NULL UNIQUE
) STRICT;
