//! What would travel of a server, as its node measures it.

use crate::lang::Lang;

/// How much of its disk would be copied, and how much it writes to its memory each second, if that is known.
#[must_use]
pub fn told(lang: Lang, disk: &str, written: Option<&str>) -> String {
    match (lang, written) {
        (Lang::En, Some(written)) => format!("{disk} of disk, and {written} of memory are written each second"),
        (Lang::En, None) => format!("{disk} of disk"),
        (Lang::Ja, Some(written)) => format!("ディスク {disk}、メモリの書き換え 毎秒 {written}"),
        (Lang::Ja, None) => format!("ディスク {disk}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_if_it_is_known() {
        for lang in [Lang::En, Lang::Ja] {
            let (both, disk) = (told(lang, "310 MiB", Some("12.0 MiB")), told(lang, "310 MiB", None));
            assert!(both.contains("310 MiB") && both.contains("12.0 MiB"), "{both}");
            let each = if lang == Lang::En { "second" } else { "毎秒" };
            assert!(both.contains(each) && disk.contains("310 MiB") && !disk.contains(each), "{disk}");
        }
    }
}
