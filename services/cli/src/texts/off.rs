//! Servers of an outage that do not travel now: those that are off, of which nothing is lost and nothing has failed, and
//! those that come later.

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

/// Which servers are still to move and not in the queue yet.
#[must_use]
pub fn waiting<T: Display>(lang: Lang, servers: &[T]) -> String {
    let names = joined(servers);
    match lang {
        Lang::En => format!("Still to come: {names}"),
        Lang::Ja => format!("これから移るサーバ: {names}"),
    }
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
