-- On whose behalf a document was written, and for which request, as far as the write says so.
ALTER TABLE events ADD COLUMN written_by TEXT;
ALTER TABLE events ADD COLUMN why TEXT;
