-- What was seen of servers from outside during outages: one row a probe, rewritten as it goes on.
CREATE TABLE seen (
    outage TEXT    NOT NULL,
    vm     TEXT    NOT NULL,
    probe  TEXT    NOT NULL,
    -- When it was asked last.
    at_ns  INTEGER NOT NULL,
    -- As JSON.
    record TEXT    NOT NULL,
    PRIMARY KEY (outage, vm, probe)
);
CREATE INDEX seen_by_time ON seen (at_ns);
