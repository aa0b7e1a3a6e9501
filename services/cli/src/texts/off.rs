//! Servers that are off while their site is emptied: nothing of them is lost, and nothing has failed.

use std::fmt::Display;

use crate::{lang::Lang, out::joined};

/// Who is off and stays where its disk is; nothing if nobody is.
#[must_use]
pub fn left_off<T: Display>(lang: Lang, servers: &[T]) -> Option<String> {
    let names = joined(servers);
    (!servers.is_empty()).then(|| match lang {
        Lang::En => format!("Off, and left where their disks are: {names}"),
        Lang::Ja => format!("停止中のため、ディスクとともに元の場所に残るサーバ: {names}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_off_is_named_and_nobody_is_not_told_of() {
        assert_eq!(left_off::<&str>(Lang::En, &[]), None);
        let told = left_off(Lang::En, &["db", "old"]);
        assert_eq!(told.as_deref(), Some("Off, and left where their disks are: db old"));
    }
}
