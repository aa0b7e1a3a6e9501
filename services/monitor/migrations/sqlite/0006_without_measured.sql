-- What was measured of a migration stands in its document, which is kept with its other changes and is where it is read from.
DROP TABLE measured;
