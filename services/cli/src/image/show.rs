//! What an image looks like.

use watari_contracts::image::{ImageView, SavedFrom};
use watari_model::image::{self, About, Consistency};

use crate::{
    format,
    lang::Lang,
    out::{Column, Row, joined, or_dash},
    texts::{states, words::Word},
    vm::fault_details,
};

impl Row for ImageView {
    fn columns() -> Vec<Column> {
        use Column::{Number, Text};
        vec![
            Text(Word::Name),
            Text(Word::State),
            Text(Word::Format),
            Number(Word::Size),
            Number(Word::VirtualSize),
            Text(Word::Copies),
            Text(Word::UsedBy),
            Text(Word::Created),
        ]
    }

    fn cells(&self, lang: Lang) -> Vec<String> {
        vec![
            self.name.to_string(),
            states::shown(lang, self.state.word()),
            or_dash(self.format.map(watari_model::image::Format::word)),
            or_dash(self.size_bytes.map(format::bytes)),
            or_dash(self.virtual_size_bytes.map(format::bytes)),
            joined(image::sites(&self.copies, &self.kept)),
            joined(&self.used_by),
            format::moment(self.created_at),
        ]
    }

    fn wide_columns() -> Vec<Column> {
        [Word::Firmware, Word::SavedFrom, Word::Sha256].map(Column::Text).to_vec()
    }

    fn wide_cells(&self, _: Lang) -> Vec<String> {
        vec![
            self.about.firmware.word().to_owned(),
            or_dash(self.saved_from.as_ref().map(|from| &from.vm)),
            or_dash(self.sha256.as_ref()),
        ]
    }

    fn details(&self, lang: Lang) -> Vec<(Word, String)> {
        let copies = self.copies.iter().map(|(site, at)| format!("{site} ({})", format::moment(*at)));
        let kept =
            self.kept.iter().map(|(site, kept)| format!("{} ({site}, {})", kept.store.url, format::moment(kept.at)));
        let nodes =
            self.nodes.iter().flat_map(|(site, nodes)| nodes.iter().map(move |node| format!("{node} ({site})")));
        let mut details = vec![
            (Word::Name, self.name.to_string()),
            (Word::State, states::shown(lang, self.state.word())),
            (Word::Format, or_dash(self.format.map(watari_model::image::Format::word))),
            (Word::Size, or_dash(self.size_bytes.map(format::bytes))),
            (Word::VirtualSize, or_dash(self.virtual_size_bytes.map(format::bytes))),
            (Word::Sha256, or_dash(self.sha256.as_ref())),
            (Word::Comment, or_dash(said(&self.about))),
            (Word::LoginAs, or_dash(self.about.default_user.as_ref())),
            (Word::NeedsAtLeast, or_dash(needs(&self.about))),
            (Word::Firmware, self.about.firmware.word().to_owned()),
            (Word::Copies, joined(copies)),
            (Word::ObjectStore, joined(kept)),
            (Word::Nodes, joined(nodes)),
            (Word::UsedBy, joined(&self.used_by)),
            (Word::Created, format::moment(self.created_at)),
        ];
        details.extend(self.saved_from.iter().flat_map(|from| saved_details(from, lang)));
        details.extend(self.waits_for.iter().flat_map(|why| fault_details(why, lang)));
        details.extend(self.fault.iter().flat_map(|fault| fault_details(fault, lang)));
        details
    }

    fn none() -> Word {
        Word::NoImages
    }
}

/// What it is, in one line.
fn said(about: &About) -> Option<String> {
    let parts: Vec<&str> =
        [&about.os, &about.version, &about.description].into_iter().filter_map(Option::as_deref).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What its servers must have.
fn needs(about: &About) -> Option<String> {
    let memory = about.min_memory_mib.map(|mib| format!("{mib} MiB"));
    let disk = about.min_disk_gib.map(|gib| format!("{gib} GiB"));
    let parts: Vec<String> = memory.into_iter().chain(disk).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The server that an image is saved from, and what the image is sure to hold of it.
fn saved_details(from: &SavedFrom, lang: Lang) -> Vec<(Word, String)> {
    let consistency = from.taken.map(|taken| match taken.consistency {
        Consistency::Filesystem => Word::ConsistencyFilesystem.text(lang),
        Consistency::Crash => Word::ConsistencyCrash.text(lang),
    });
    let mut details = vec![
        (Word::SavedFrom, from.vm.to_string()),
        (Word::SavedAt, or_dash(from.taken.map(|taken| format::moment(taken.at)))),
        (Word::Consistency, or_dash(consistency)),
    ];
    // A copy came to nothing, and another one is to be made.
    details.extend(from.lost.iter().map(|lost| {
        let [(_, cause), _] = fault_details(lost, lang);
        (Word::LastTry, cause)
    }));
    details
}
