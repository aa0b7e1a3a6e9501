//! What is said while a cluster is made and hosts join it.

use crate::lang::Lang;

/// Asks whether to begin.
#[must_use]
pub const fn go_on(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Go on?",
        Lang::Ja => "続けますか?",
    }
}

/// What `watari init` is about to do.
#[must_use]
pub fn will_init(lang: Lang, cluster: &str, host: &str, dir: &str) -> String {
    match lang {
        Lang::En => format!(
            "{host} becomes the first front end of cluster {cluster}. Its keys go into {dir}, this host's files to \
             /etc/watari and /etc/nats. Nothing is started."
        ),
        Lang::Ja => format!(
            "{host} をクラスタ {cluster} の最初のフロントエンドにします。鍵は {dir} に、このホストのファイルは /etc/watari と /etc/nats に置きます。何も起動しません。"
        ),
    }
}

/// What comes after `watari init`.
#[must_use]
pub fn inited(lang: Lang, cluster: &str, dir: &str) -> String {
    match lang {
        Lang::En => format!(
            "cluster {cluster} is made; keep a copy of {dir} off this host. Next, here:\n  systemctl enable --now \
             watari-front.target\n  watari token create --role node"
        ),
        Lang::Ja => format!(
            "クラスタ {cluster} を作成しました。{dir} の控えを別の場所に保管してください。次にこのホストで:\n  systemctl enable --now \
             watari-front.target\n  watari token create --role node"
        ),
    }
}

/// How a token is used.
#[must_use]
pub fn use_it(lang: Lang, minutes: u64, front: &str) -> String {
    match lang {
        Lang::En => {
            format!(
                "shown this once, good for {minutes} minutes and one host; on it: watari join --token TOKEN {front}"
            )
        }
        Lang::Ja => format!(
            "表示は今回だけで、{minutes} 分以内に 1 台だけ参加できます。そのホストで: watari join --token トークン {front}"
        ),
    }
}

/// A token is gone.
#[must_use]
pub fn revoked(lang: Lang, id: &str) -> String {
    match lang {
        Lang::En => format!("token {id} lets nobody in any more"),
        Lang::Ja => format!("トークン {id} を取り消しました"),
    }
}

/// How a token stands, by the word that programs read.
#[must_use]
pub fn standing(lang: Lang, state: &'static str) -> &'static str {
    match (lang, state) {
        (Lang::Ja, "open") => "未使用",
        (Lang::Ja, "used") => "使用済み",
        (Lang::Ja, "expired") => "期限切れ",
        (_, state) => state,
    }
}

/// What `watari join` is about to do.
#[must_use]
pub fn will_join(lang: Lang, name: &str, address: &str, cluster: &str) -> String {
    match lang {
        Lang::En => format!(
            "this host joins cluster {cluster} as node {name}, with address {address}. No interface is changed, nothing \
             is started, and these files are written:"
        ),
        Lang::Ja => format!(
            "このホストを、ノード {name} (アドレス {address}) としてクラスタ {cluster} に加えます。インターフェイスは変更せず、何も起動しません。次のファイルを書き込みます:"
        ),
    }
}

/// A file that will be written.
#[must_use]
pub fn will_write(lang: Lang, path: &str, there: bool) -> String {
    match (lang, there) {
        (_, false) => format!("  {path}"),
        (Lang::En, true) => format!("  {path} (is there already)"),
        (Lang::Ja, true) => format!("  {path} (既存)"),
    }
}

/// A file that would be otherwise if it were made anew.
#[must_use]
pub fn stays(lang: Lang, path: &str) -> String {
    match lang {
        Lang::En => {
            format!(
                "{path} is there already and stays as it is; to have it made anew, move it aside and run this again"
            )
        }
        Lang::Ja => {
            format!("{path} はすでにあるため変更していません。作り直すには、退避してからもう一度実行してください")
        }
    }
}

/// Other NATS servers are told of the host too.
#[must_use]
pub fn elsewhere(lang: Lang, names: &str) -> String {
    match lang {
        Lang::En => format!(
            "NATS on {names} learns of this host within seconds, where watari-enrol runs; else bring each its \
             etc/nats/nats.conf from the cluster's folder (hosts/NAME)"
        ),
        Lang::Ja => format!(
            "{names} の NATS には、watari-enrol が動いていれば数秒で伝わります。動いていなければ、クラスタのフォルダの hosts/ホスト名 にある etc/nats/nats.conf を配ってください"
        ),
    }
}

/// What comes after `watari join`.
#[must_use]
pub fn joined(lang: Lang, name: &str, site: &str, cluster: &str) -> String {
    let next =
        "  systemctl daemon-reload\n  systemctl restart libvirtd.service\n  systemctl enable --now watari-node.target";
    match lang {
        Lang::En => format!("{name} is a node of cluster {cluster}, at {site}. Next, here:\n{next}"),
        Lang::Ja => {
            format!("{name} はクラスタ {cluster} (サイト {site}) のノードになりました。次にこのホストで:\n{next}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_there_in_both_languages() {
        let lines = |lang| {
            [
                go_on(lang).to_owned(),
                will_init(lang, "a", "b", "c"),
                inited(lang, "a", "b"),
                use_it(lang, 1, "a"),
                revoked(lang, "a"),
                will_join(lang, "a", "b", "c"),
                will_write(lang, "a", true),
                stays(lang, "a"),
                elsewhere(lang, "a"),
                joined(lang, "a", "b", "c"),
                standing(lang, "open").to_owned(),
                standing(lang, "used").to_owned(),
                standing(lang, "expired").to_owned(),
            ]
        };
        for (en, ja) in lines(Lang::En).into_iter().zip(lines(Lang::Ja)) {
            assert!(en.is_ascii() && !ja.is_ascii(), "{en} / {ja}");
        }
    }
}
