//! Lines about servers that have no time to leave.

use watari_model::vm::Way;

use crate::lang::Lang;

/// Above the table of those that are off, or go off, instead of leaving.
#[must_use]
pub fn title(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Could not leave, off until the outage is over:",
        Lang::Ja => "退避できず、停電の終了まで休止または停止するサーバ:",
    }
}

/// The same of what has not happened.
#[must_use]
pub fn would_title(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Could not leave, and go off before the power does:",
        Lang::Ja => "退避できず、電源が切れる前に休止または停止するサーバ:",
    }
}

/// How a server goes off.
#[must_use]
pub fn way(lang: Lang, way: Way) -> &'static str {
    match (lang, way) {
        (Lang::En, Way::Suspend) => "suspended",
        (Lang::En, Way::ShutDown) => "shut down",
        (Lang::Ja, Way::Suspend) => "休止",
        (Lang::Ja, Way::ShutDown) => "停止",
    }
}

/// For how much time a plan is.
#[must_use]
pub fn time(lang: Lang, time_ms: u64) -> String {
    let time = crate::format::time(lang, time_ms);
    match lang {
        Lang::En => format!("if the power goes in {time}:"),
        Lang::Ja => format!("{time}後に電源が切れる場合:"),
    }
}

/// How many go off, and how.
#[must_use]
pub fn tally(lang: Lang, suspended: usize, shut_down: usize) -> String {
    match lang {
        Lang::En => format!("could not leave: {suspended} suspended, {shut_down} shut down"),
        Lang::Ja => format!("退避できないサーバのうち、休止 {suspended} 台、停止 {shut_down} 台"),
    }
}

/// What becomes of one server.
#[must_use]
pub fn halted(lang: Lang, vm: &str, way: Way, cause: &str) -> String {
    let way = self::way(lang, way);
    match lang {
        Lang::En => format!("{vm}: {way} until the outage is over: {cause}"),
        Lang::Ja => format!("{vm}: 停電の終了まで{way}します: {cause}"),
    }
}

/// What is known of one that runs again.
#[must_use]
pub const fn runs_again(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "Running is said of a server whose processor runs; the guest of one that was started again may still be booting, \
             as its probes or `watari vm console-log NAME` show."
        }
        Lang::Ja => {
            "「稼働中」は、仮想マシンの CPU が動いている状態です。再び起動したサーバの OS は、まだ起動の途中かもしれません。\
             プローブか `watari vm console-log 名前` で確認できます。"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_both_languages() {
        let lines = |lang| {
            let ways = [Way::Suspend, Way::ShutDown].map(|one| way(lang, one).to_owned());
            let told = [title(lang).to_owned(), would_title(lang).to_owned(), time(lang, 9), tally(lang, 1, 2)];
            let of_one = vec![halted(lang, "a", Way::Suspend, "b"), runs_again(lang).to_owned()];
            [ways.to_vec(), told.to_vec(), of_one].concat()
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
