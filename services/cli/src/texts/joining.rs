//! What is said while a cluster is made and hosts join it.

use watari_contracts::enrol::Part;

use crate::{lang::Lang, setup::journal::Act};

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
pub fn will_init(lang: Lang, cluster: &str, host: &str, dir: &str, etc: &str) -> String {
    match lang {
        Lang::En => format!(
            "{host} becomes the first front end of cluster {cluster}. Its keys go into {dir}, this host's files to \
             {etc}/watari and {etc}/nats. Nothing is started."
        ),
        Lang::Ja => format!(
            "{host} をクラスタ {cluster} の最初のフロントエンドにします。鍵は {dir} に、このホストのファイルは {etc}/watari と {etc}/nats に置きます。何も起動しません。"
        ),
    }
}

/// What comes after `watari init`.
#[must_use]
pub fn inited(lang: Lang, cluster: &str, dir: &str) -> String {
    match lang {
        Lang::En => format!(
            "cluster {cluster} is made; keep a copy of {dir} off this host. Next, here:\n  systemctl enable --now \
             watari-front.target\n  watari token create --role frontend\n  watari token create --role witness\n  watari token \
             create --role node"
        ),
        Lang::Ja => format!(
            "クラスタ {cluster} を作成しました。{dir} の控えを別の場所に保管してください。次にこのホストで:\n  systemctl enable --now \
             watari-front.target\n  watari token create --role frontend\n  watari token create --role witness\n  watari token \
             create --role node"
        ),
    }
}

/// What a host of a kind is called.
const fn kind(lang: Lang, part: Part) -> &'static str {
    match (lang, part) {
        (Lang::En, Part::Node) => "node",
        (Lang::En, Part::Frontend) => "front end",
        (Lang::En, Part::Witness) => "witness",
        (Lang::Ja, Part::Node) => "ノード",
        (Lang::Ja, Part::Frontend) => "フロントエンド",
        (Lang::Ja, Part::Witness) => "立会役",
    }
}

/// How a token is used; whether whoever joins has to say `at_which` site.
#[must_use]
pub fn use_it(lang: Lang, part: Part, minutes: u64, front: &str, at_which: bool) -> String {
    // Without it the host joins as a node.
    let role = if part == Part::Node { String::new() } else { format!("--as {} ", part.word()) };
    let site = match (at_which, lang) {
        (false, _) => "",
        (true, Lang::En) => "--site SITE ",
        (true, Lang::Ja) => "--site サイト ",
    };
    match lang {
        Lang::En => {
            format!(
                "shown this once, good for {minutes} min and one host; on it, where it is asked for: watari join {role}{site}--token - {front}"
            )
        }
        Lang::Ja => format!(
            "表示は今回だけで、{minutes} 分以内に 1 台だけ参加できます。そのホストで次を実行し、求められたら貼り付けます: watari join {role}{site}--token - {front}"
        ),
    }
}

/// What is asked of whoever has a token to paste.
#[must_use]
pub const fn which_token(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "The token, then Enter:",
        Lang::Ja => "トークンを貼り付けて Enter を押してください:",
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

/// Whether to take a node out.
#[must_use]
pub fn will_expel(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("Take {name} out of the cluster, so that its agent is cut off at once?"),
        Lang::Ja => format!("{name} をクラスタから除き、エージェントをただちに切断しますか?"),
    }
}

/// It is out.
#[must_use]
pub fn expelled(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!(
            "{name} is out of the cluster; front ends know within seconds, and nodes, which refuse its certificate, within a quarter of an hour"
        ),
        Lang::Ja => format!(
            "{name} をクラスタから除きました。数秒以内にフロントエンドに、15 分以内に各ノードに伝わり、その証明書も使えなくなります"
        ),
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

/// What was done in the cluster's folder.
#[must_use]
pub const fn act(lang: Lang, act: Act) -> &'static str {
    match (lang, act) {
        (Lang::En, Act::TokenCreated) => "token made",
        (Lang::En, Act::TokenRevoked) => "token taken back",
        (Lang::En, Act::HostJoined) => "host joined",
        (Lang::En, Act::HostExpelled) => "host expelled",
        (Lang::En, Act::KeysMade) => "keys made",
        (Lang::En, Act::FilesMade) => "files made",
        (Lang::En, Act::Other) => "by a newer version",
        (Lang::Ja, Act::TokenCreated) => "トークンの作成",
        (Lang::Ja, Act::TokenRevoked) => "トークンの取り消し",
        (Lang::Ja, Act::HostJoined) => "ホストの参加",
        (Lang::Ja, Act::HostExpelled) => "ホストの除外",
        (Lang::Ja, Act::KeysMade) => "鍵の作成",
        (Lang::Ja, Act::FilesMade) => "ファイルの作成",
        (Lang::Ja, Act::Other) => "新しい版による操作",
    }
}

/// What `watari join` is about to do.
#[must_use]
pub fn will_join(lang: Lang, part: Part, name: &str, address: &str, cluster: &str) -> String {
    let kind = kind(lang, part);
    match lang {
        Lang::En => format!(
            "this host joins cluster {cluster} as {kind} {name}, with address {address}. No interface is changed, nothing \
             is started, and these files are written:"
        ),
        Lang::Ja => format!(
            "このホストを、{kind} {name} (アドレス {address}) としてクラスタ {cluster} に加えます。インターフェースは変更せず、何も起動しません。次のファイルを書き込みます:"
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
            format!(
                "{path} はすでにあるため変更していません。作り直すには、別の場所に移してからもう一度実行してください"
            )
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

/// As many servers may fail as before the host joined.
#[must_use]
pub const fn even(lang: Lang) -> &'static str {
    match lang {
        Lang::En => {
            "NATS has an even number of servers now, of which more than half must be up: one more, such as a witness, \
             should join soon"
        }
        Lang::Ja => {
            "NATS のサーバが偶数になりました。半数を超えるサーバが動いている必要があるため、立会役など、もう 1 台を早めに加えてください"
        }
    }
}

/// What comes after `watari join`.
#[must_use]
pub fn joined(lang: Lang, part: Part, name: &str, site: Option<&str>, cluster: &str) -> String {
    let kind = kind(lang, part);
    let next = match (lang, part) {
        (_, Part::Node) => {
            "  systemctl daemon-reload\n  systemctl restart libvirtd.service\n  systemctl enable --now watari-node.target"
        }
        (Lang::En, _) => {
            "  systemctl enable --now watari-front.target\nand once it is up, on each front end that was there before:\n  \
             systemctl restart watari-front.target"
        }
        (Lang::Ja, _) => {
            "  systemctl enable --now watari-front.target\n起動したら、以前からある各フロントエンドで:\n  systemctl restart \
             watari-front.target"
        }
    };
    match lang {
        Lang::En => {
            let at = site.map(|site| format!(", at {site}")).unwrap_or_default();
            format!("{name} is a {kind} of cluster {cluster}{at}. Next, here:\n{next}")
        }
        Lang::Ja => {
            let at = site.map(|site| format!(" (サイト {site})")).unwrap_or_default();
            format!("{name} はクラスタ {cluster}{at} の{kind}になりました。次にこのホストで:\n{next}")
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
                will_init(lang, "a", "b", "c", "/etc"),
                inited(lang, "a", "b"),
                use_it(lang, Part::Node, 1, "a", true),
                use_it(lang, Part::Witness, 1, "a", false),
                which_token(lang).to_owned(),
                act(lang, Act::TokenCreated).to_owned(),
                act(lang, Act::TokenRevoked).to_owned(),
                act(lang, Act::HostJoined).to_owned(),
                act(lang, Act::HostExpelled).to_owned(),
                act(lang, Act::KeysMade).to_owned(),
                act(lang, Act::FilesMade).to_owned(),
                act(lang, Act::Other).to_owned(),
                revoked(lang, "a"),
                will_expel(lang, "a"),
                expelled(lang, "a"),
                will_join(lang, Part::Frontend, "a", "b", "c"),
                will_write(lang, "a", true),
                stays(lang, "a"),
                elsewhere(lang, "a"),
                even(lang).to_owned(),
                joined(lang, Part::Node, "a", Some("b"), "c"),
                joined(lang, Part::Frontend, "a", Some("b"), "c"),
                joined(lang, Part::Witness, "a", None, "c"),
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
