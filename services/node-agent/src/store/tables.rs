//! What brings the journal's file to this version's tables, step by step.
//!
//! Listed by hand: for the macro that lists a folder, sqlx and SQLite are compiled a second time, for the compiler's own use.

use std::sync::LazyLock;

use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// The number of each step, as it is kept in the file, what it brings, and how. One that was ever released stays as it is.
const STEPS: [(i64, &str, &str); 3] = [
    (1, "journal", include_str!("migrations/0001_journal.sql")),
    (2, "network plan", include_str!("migrations/0002_network_plan.sql")),
    (10, "lease", include_str!("migrations/0010_lease.sql")),
];

pub(super) static TABLES: LazyLock<Migrator> = LazyLock::new(|| {
    let steps = STEPS.map(|(number, brings, sql)| {
        Migration::new(number, brings.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    });
    Migrator::with_migrations(steps.into())
});

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_step_that_is_written_is_taken() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
        let written = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let taken = STEPS.map(|(number, brings, _)| format!("{number:04}_{}.sql", brings.replace(' ', "_")));
        assert_eq!(BTreeSet::from(taken), written.collect::<BTreeSet<_>>());
    }
}
