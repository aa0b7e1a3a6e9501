-- As SQLite's step of this name says.
DROP TABLE measured;
