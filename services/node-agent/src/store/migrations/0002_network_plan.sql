-- The newest network plan, so that a restart lays the same without the bus. Epochs are the network service's own.
CREATE TABLE network_plan (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    epoch    INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    body     TEXT NOT NULL              -- JSON
) STRICT;
