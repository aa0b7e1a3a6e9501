//! What a migration looks like.

use watari_contracts::scheduler::MigrationView;
use watari_model::migration::Reason;

use super::follow::transferred;
use crate::{
    format,
    lang::Lang,
    out::{Column, Row, or_dash},
    texts::{states, words::Word},
    vm::fault_details,
};

/// What documents call an operator's may be an administrator's: nobody's role is said, who it was is in the history.
const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Operator => "by hand",
        Reason::Evacuation => "evacuation",
        Reason::Return => "return",
        Reason::Relief => "relief",
    }
}

impl Row for MigrationView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Id),
            Text(Word::Vm),
            Text(Word::From),
            Text(Word::To),
            Text(Word::State),
            Text(Word::Reason),
            Number(Word::Transferred),
            Number(Word::Total),
            Number(Word::Downtime),
            Text(Word::Created),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.vm.to_string(),
            self.from.to_string(),
            self.to.to_string(),
            states::shown(lang, self.state.word()),
            states::shown(lang, reason(self.reason)),
            or_dash(transferred(self)),
            or_dash(self.measured.map(|m| format::time(lang, m.total_ms))),
            or_dash(self.measured.map(|m| format::time(lang, m.downtime_ms + m.pause_ms))),
            format::moment(self.created_at),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![Text(Word::Outage), Number(Word::MemoryMoved), Number(Word::DiskMoved), Text(Word::Changed)]
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        vec![
            or_dash(self.outage.as_ref()),
            or_dash(self.measured.map(|m| format::bytes(m.memory_bytes))),
            or_dash(self.measured.map(|m| format::bytes(m.disk_bytes))),
            format::moment(self.changed_at),
        ]
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        let mut details = vec![
            (Word::Id, self.id.to_string()),
            (Word::Vm, self.vm.to_string()),
            (Word::From, self.from.to_string()),
            (Word::To, self.to.to_string()),
            (Word::State, states::shown(lang, self.state.word())),
            (Word::Reason, states::shown(lang, reason(self.reason))),
            (Word::Outage, or_dash(self.outage.as_ref())),
            (Word::Transferred, or_dash(transferred(self))),
        ];
        if let Some(measured) = self.measured {
            details.extend([
                (Word::MemoryMoved, format::bytes(measured.memory_bytes)),
                (Word::DiskMoved, format::bytes(measured.disk_bytes)),
                (Word::Total, format::time(lang, measured.total_ms)),
                (Word::Downtime, format::time(lang, measured.downtime_ms + measured.pause_ms)),
                (Word::Pause, format::time(lang, measured.pause_ms)),
            ]);
        }
        details.push((Word::Created, format::moment(self.created_at)));
        details.push((Word::Changed, format::moment(self.changed_at)));
        details.extend(self.fault.iter().flat_map(|fault| fault_details(fault, lang)));
        details
    }

    fn none() -> Word {
        Word::NoMigrations
    }
}
