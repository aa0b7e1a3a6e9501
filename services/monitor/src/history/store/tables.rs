//! What brings a history to this version's tables, step by step.
//!
//! Listed by hand: for the macro that lists a folder, sqlx and SQLite are compiled a second time, for the compiler's own use.

use std::sync::LazyLock;

use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// The number of a step, as it is kept with the history, what it brings, and how. One that was ever released stays as it is.
type Step = (i64, &'static str, &'static str);

const IN_A_FILE: [Step; 6] = [
    (1, "history", include_str!("../../../migrations/sqlite/0001_history.sql")),
    (2, "who", include_str!("../../../migrations/sqlite/0002_who.sql")),
    (3, "seen", include_str!("../../../migrations/sqlite/0003_seen.sql")),
    (4, "indexes", include_str!("../../../migrations/sqlite/0004_indexes.sql")),
    (5, "kept", include_str!("../../../migrations/sqlite/0005_kept.sql")),
    (6, "without measured", include_str!("../../../migrations/sqlite/0006_without_measured.sql")),
];
const ON_A_SERVER: [Step; 3] = [
    (1, "history", include_str!("../../../migrations/postgres/0001_history.sql")),
    (2, "kept", include_str!("../../../migrations/postgres/0002_kept.sql")),
    (3, "without measured", include_str!("../../../migrations/postgres/0003_without_measured.sql")),
];

pub(super) static OF_SQLITE: LazyLock<Migrator> = LazyLock::new(|| taking(&IN_A_FILE));
pub(super) static OF_POSTGRES: LazyLock<Migrator> = LazyLock::new(|| taking(&ON_A_SERVER));

fn taking(steps: &[Step]) -> Migrator {
    let steps = steps.iter().map(|&(number, brings, sql)| {
        Migration::new(number, brings.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    });
    Migrator::with_migrations(steps.collect())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_step_that_is_written_is_taken() {
        for (folder, steps) in [("sqlite", &IN_A_FILE[..]), ("postgres", &ON_A_SERVER[..])] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
            let written = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
            let name = |(number, brings, _): &Step| format!("{number:04}_{}.sql", brings.replace(' ', "_"));
            assert_eq!(steps.iter().map(name).collect::<BTreeSet<_>>(), written.collect::<BTreeSet<_>>());
        }
    }
}
