//! Everything that the command itself finds wrong: one table, each with a stable code, an exit
//! status, a cause and a remedy in both languages. Without one of them it does not compile.

use watari_contracts::scheduler;
use watari_model::{filled, refusal::Rendered};

use crate::{
    failure::{FAILED, UNREACHABLE, USAGE},
    format,
    lang::Lang,
};

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident { $($field:ident),* } $code:literal $exit:ident
        en $en_cause:literal $en_remedy:literal
        ja $ja_cause:literal $ja_remedy:literal;)*) => {
        /// What the command found wrong. Field values are text, ready to be shown.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $variant {
                $(#[doc = concat!("Fills `{", stringify!($field), "}`.")] $field: String),*
            },)*
        }

        impl Fault {
            /// The stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)* }
            }

            /// The exit status that goes with it.
            #[must_use]
            pub const fn exit(&self) -> u8 {
                match self { $(Self::$variant { .. } => $exit,)* }
            }

            /// Cause and remedy.
            #[must_use]
            pub fn rendered(&self, lang: Lang) -> Rendered {
                match self { $(Self::$variant { $($field),* } => {
                    let fields: &[(&str, &str)] = &[$((stringify!($field), $field.as_str())),*];
                    let (cause, remedy) = match lang {
                        Lang::En => ($en_cause, $en_remedy),
                        Lang::Ja => ($ja_cause, $ja_remedy),
                    };
                    Rendered { cause: filled(cause, fields), remedy: filled(remedy, fields) }
                })* }
            }

            /// One of each, every field holding its own name: for tests of completeness.
            #[must_use]
            pub fn examples() -> Vec<Self> {
                vec![$(Self::$variant { $($field: concat!("<", stringify!($field), ">").to_owned()),* }),*]
            }
        }
    };
}

impl Fault {
    /// That a file which was named on the command line cannot be read.
    #[must_use]
    pub fn unread(path: &str, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::FileUnknown { path },
            _ => Self::FileUnread { path, detail: error.to_string() },
        }
    }

    /// That a file which was named on the command line cannot be written.
    #[must_use]
    pub fn unwritten(path: &str, error: &std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::FolderMissing { path },
            std::io::ErrorKind::PermissionDenied => Self::FileForbidden { path },
            std::io::ErrorKind::IsADirectory => Self::FileIsFolder { path },
            _ => Self::File { path, detail: error.to_string() },
        }
    }

    /// That it takes longer than the person wanted to wait, in milliseconds.
    #[must_use]
    pub fn waited(ms: u64) -> Self {
        let [waited, waited_ja] = [Lang::En, Lang::Ja].map(|lang| format::time(lang, ms));
        let (look, look_ja) = ("the matching `show`".to_owned(), "対応する show".to_owned());
        Self::WaitedInVain { waited, waited_ja, look, look_ja }
    }

    /// The same of something at which one looks with another command.
    #[must_use]
    pub fn looked_at_by(self, command: &str) -> Self {
        match self {
            Self::WaitedInVain { waited, waited_ja, .. } => {
                let look = format!("`{command}`");
                Self::WaitedInVain { waited, waited_ja, look: look.clone(), look_ja: look }
            }
            other => other,
        }
    }
}

faults! {
    // --- this machine ----------------------------------------------------------------------
    /// No shell was named, and the person's own is none that completes, or not known.
    NoShell { shell } "completion.no-shell" USAGE
        en "the shell that should complete was not named, and SHELL ({shell}) does not tell" "name it: watari completion bash, watari completion zsh, or watari completion fish"
        ja "補完に使うシェルの指定がなく、環境変数 SHELL ({shell}) からも判断できません" "watari completion bash のように、bash、zsh、fish のいずれかを指定してください";
    // --- top -------------------------------------------------------------------------------
    /// Nobody would see it.
    NoTerminal { } "top.no-terminal" USAGE
        en "watari top fills a terminal, and this is none" "run it on a terminal, or read once with `watari site list`, `watari node list` and `watari vm list`, or what happens with `watari events --follow`"
        ja "watari top は端末の画面全体に表示しますが、ここは端末ではありません" "端末で実行してください。一覧は `watari site list`、`watari node list`、`watari vm list`、変化は `watari events --follow` で確認できます";
    // --- consoles --------------------------------------------------------------------------
    /// Nobody could type there.
    ConsoleNoTerminal { vm } "console.no-terminal" USAGE
        en "the console of {vm} is typed at on a terminal, and this is none" "run it on a terminal; what the server wrote is read with: watari vm console-log {vm}"
        ja "{vm} のコンソールを使うには端末が必要ですが、ここは端末ではありません" "端末で実行してください。サーバの出力は watari vm console-log {vm} で読めます";
    // --- declared servers ------------------------------------------------------------------
    /// The file is no YAML, JSON or TOML of the right form.
    ServersSyntax { path, detail } "apply.syntax" USAGE
        en "{path} does not declare servers: {detail}" "see `watari apply --help` for the form; `watari vm export` writes it"
        ja "{path} をサーバの宣言として読み取れません: {detail}" "書式は `watari apply --help` で確認できます。`watari vm export` でも書き出せます";
    /// It is no list of servers.
    ServersShape { path } "apply.shape" USAGE
        en "{path} is not a list `servers` and nothing beside it, each entry a server with its items" "see `watari apply --help` for the form; `watari vm export` writes it"
        ja "{path} の内容が、サーバを並べた `servers` のリストだけになっていません" "書式は `watari apply --help` で確認できます。`watari vm export` でも書き出せます";
    /// A server has an item that is none.
    ServersItem { path, server, item, items } "apply.item" USAGE
        en "{path}: server {server}: there is no item {item}" "write one of these: {items}"
        ja "{path} のサーバ {server}: {item} という項目はありません" "次の項目から選んでください: {items}";
    /// A server's item has a value that it does not take.
    ServersValue { path, server, item, value, form } "apply.value" USAGE
        en "{path}: server {server}: {item} cannot be {value}" "write for {item} something like: {form}"
        ja "{path} のサーバ {server}: {item} に {value} は指定できません" "{item} は次のように書いてください: {form}";
    /// A server has no name.
    ServersNameless { path, server } "apply.nameless" USAGE
        en "{path}: entry {server} of servers has no name" "give each server an item `name`"
        ja "{path}: servers の {server} に name がありません" "サーバごとに name を書いてください";
    /// A server would have to be made, and of what is not said.
    ServersNoImage { path, server, near } "apply.no-image" USAGE
        en "{path}: there is no server {server}, and to make it an image is needed{near}" "give it an item `image`, or correct its name; nothing was done"
        ja "{path}: サーバ {server} は存在せず、新しく作るための image がありません{near}" "image を書くか、サーバ名を直してください。何も実行していません";
    /// Which of the two is meant nobody knows.
    ServersTwice { path, server } "apply.twice" USAGE
        en "{path} declares server {server} twice" "declare each server once"
        ja "{path} はサーバ {server} を 2 回宣言しています" "サーバごとに 1 回だけ宣言してください";
    /// It was hardly meant.
    ServersTooMany { path } "apply.too-many" USAGE
        en "{path} is larger than 1 MiB, or declares more than 1,000 servers" "spread the servers over several files, and apply one after another"
        ja "{path} は 1 MiB を超えているか、1,000 台を超えるサーバを宣言しています" "複数のファイルに分け、順に適用してください";
    // --- what was typed --------------------------------------------------------------------
    /// Something would be lost, and nobody is there to be asked.
    Unconfirmed { question } "consent.needed" USAGE
        en "nobody is here to answer:{question}" "if it is meant, repeat the command with --yes; nothing was done"
        ja "確認に答える人がいません:{question}" "実行してよければ --yes を付けて、もう一度実行してください。何も実行していません";
    /// A file that was named is not there.
    FileUnknown { path } "file.unknown" USAGE
        en "there is no file {path}" "check the path"
        ja "ファイル {path} がありません" "パスを確認してください";
    /// A file that was named cannot be read.
    FileUnread { path, detail } "file.unreadable" USAGE
        en "{path} cannot be read: {detail}" "check that it is a file, and that you may read it"
        ja "{path} を読み取れません: {detail}" "ファイルであることと、読み取る権限があることを確認してください";
    /// A file that was named is something else.
    FileNotText { path } "file.not-text" USAGE
        en "{path} is no UTF-8 text" "give a text file"
        ja "{path} は UTF-8 のテキストではありません" "テキストファイルを指定してください";
    /// A file would be overwritten.
    FileThere { path } "file.exists" FAILED
        en "there is a file {path} already, which stays as it is" "choose another name, or move that file away first"
        ja "ファイル {path} はすでに存在します。上書きしません" "別の名前を指定するか、先にそのファイルを移動してください";
    /// A file would be written into a folder that is not there.
    FolderMissing { path } "file.no-folder" FAILED
        en "{path} cannot be written, since its folder is not there" "make the folder first, or name another file"
        ja "{path} に書き出せません。フォルダがありません" "先にフォルダを作るか、別のファイルを指定してください";
    /// A file would be written where that is not permitted.
    FileForbidden { path } "file.forbidden" FAILED
        en "{path} cannot be written, since its permissions forbid it" "name a file in a folder of your own, or correct the permissions"
        ja "{path} に書き出せません。書き込む権限がありません" "書き込めるフォルダのファイルを指定するか、アクセス権を変更してください";
    /// What would be written is a folder.
    FileIsFolder { path } "file.is-folder" FAILED
        en "{path} cannot be written, since it is a folder" "name a file in it"
        ja "{path} に書き出せません。フォルダです" "その中のファイル名まで指定してください";
    // --- setup -----------------------------------------------------------------------------
    /// A file or folder cannot be read or written.
    File { path, detail } "file.unusable" FAILED
        en "{path}: {detail}" "check the path and its permissions"
        ja "{path}: {detail}" "パスとアクセス権を確認してください";
    /// The description of the cluster is not TOML of the right form.
    ClusterSyntax { path, detail } "setup.syntax" USAGE
        en "{path} does not describe a cluster: {detail}" "see `watari setup --help` for the form"
        ja "{path} はクラスタの記述として読めません: {detail}" "書式は `watari setup --help` で確認できます";
    /// It is TOML, but no cluster.
    ClusterUnsound { path, detail } "setup.unsound" USAGE
        en "{path} describes no working cluster: {detail}" "correct the file and run this again"
        ja "{path} の記述ではクラスタが動作しません: {detail}" "ファイルを修正して、もう一度実行してください";
    /// A kept key is none.
    KeyUnusable { path, detail } "setup.key" FAILED
        en "{path} holds no usable key: {detail}" "restore it from a copy, or remove it to have a new one made (every host then needs the new files)"
        ja "{path} の鍵を使用できません: {detail}" "控えから戻すか、削除して新しく作ってください (その場合は全ホストに新しいファイルが必要です)";
    /// A certificate could not be made.
    Certificate { host, detail } "setup.certificate" FAILED
        en "no certificate for {host}: {detail}" "check the host's name and address in the cluster's description"
        ja "{host} の証明書を作れません: {detail}" "クラスタの記述にあるホスト名とアドレスを確認してください";
    // --- one front end of two that is left ---------------------------------------------------
    /// It is done where the server that is left runs.
    RecoverNotHere { path, detail } "frontend.recover-not-here" FAILED
        en "{path} does not say which NATS server this host has: {detail}" "run this as root on the front end that is left"
        ja "{path} から、このホストの NATS サーバが分かりません: {detail}" "残ったフロントエンドで root として実行してください";
    /// Whoever is here is not lost.
    RecoverSelf { host } "frontend.recover-self" USAGE
        en "{host} is this host" "name the other front end, which is lost: watari frontend status names both"
        ja "{host} はこのホストです" "失われたほうのフロントエンドの名前を指定してください (watari frontend status で確認できます)";
    /// One of the others is there.
    RecoverAnswers { server } "frontend.recover-answers" FAILED
        en "{server} answers: it is not lost" "mend what keeps the two from each other; they go on by themselves then. Nothing was done"
        ja "{server} から応答があります。失われていません" "2 台の間の障害を取り除いてください。その後は自動で元に戻ります。何も実行していません";
    /// There is a majority.
    RecoverLed { server } "frontend.recover-led" FAILED
        en "NATS is led by {server}" "nothing has to be recovered; if the other front end was lost a moment ago, try again in half a minute"
        ja "NATS のリーダーは {server} です" "このコマンドは不要です。もう一方を失った直後なら、30 秒ほど待ってからもう一度実行してください";
    /// What it holds is not all.
    RecoverVoteless { host } "frontend.recover-voteless" FAILED
        en "the NATS server on {host} has no vote: others hold more than it does" "start the front end that was left by the last outage; if that is lost, restore a backup: watari backup restore"
        ja "{host} の NATS サーバには投票権がなく、データもそろっていません" "前回の停電で残ったフロントエンドを起動してください。それが失われている場合は watari backup restore でバックアップから戻してください";
    /// More are needed, or another one is.
    RecoverOthers { lost, servers } "frontend.recover-others" FAILED
        en "besides this one and {lost} others have a vote, or {lost} has none: {servers}" "bring one of them back, with the witness first; what two others have acknowledged may be missing here. If all are lost, restore a backup: watari backup restore"
        ja "投票権を持つサーバがほかにもあるか、{lost} に投票権がありません: {servers}" "立会役を先に、いずれかを復旧してください。ほかの 2 台だけが確認した変更は、ここにない場合があります。すべて失われた場合は watari backup restore でバックアップから戻してください";
    /// It takes longer than it should.
    RecoverUnfinished { host, detail } "frontend.recover-unfinished" FAILED
        en "the NATS server on {host} is no majority by itself yet: {detail}" "see `journalctl -u watari-nats`; nats-server 2.15 or later is needed. Then repeat the command: it goes on where it was"
        ja "{host} の NATS サーバは、まだ単独で過半数になっていません: {detail}" "`journalctl -u watari-nats` を確認してください。nats-server 2.15 以降が必要です。その後もう一度実行すると、続きから行います";
    // --- further hosts ---------------------------------------------------------------------
    /// The folder of the cluster is not here.
    NoCluster { path } "cluster.none" FAILED
        en "the cluster's folder is not in {path} of this machine" "the folder is on the first front end, where `watari init` was run: run this there, as root; if it is elsewhere, name it with --dir FOLDER"
        ja "このマシンの {path} にはクラスタのフォルダがありません" "フォルダは watari init を実行した最初のフロントエンドにあります。そこで root として実行してください。別の場所にあるときは --dir フォルダ で指定できます";
    /// There is one, and it is another than the one described.
    ClusterThere { path } "cluster.exists" FAILED
        en "{path} holds another cluster, or one that was described otherwise" "to let hosts in: watari token create; to change it, edit cluster.toml there and run watari setup"
        ja "{path} には別の、または異なる記述のクラスタがあります" "ホストを加えるには watari token create を使ってください。変更する場合は、そこの cluster.toml を編集して watari setup を実行してください";
    /// Somebody works from here for another cluster.
    OperatorThere { paths } "init.operator-there" FAILED
        en "this host has the key or the authority of another cluster, which would be lost: {paths}" "if nobody needs them here, move them aside, with /etc/watari/cli.toml, and run this again; nothing was done"
        ja "このホストには別のクラスタの鍵または認証局の証明書があり、実行すると失われます: {paths}" "ここで不要なら、/etc/watari/cli.toml とともに別の場所に移してから、もう一度実行してください。何も実行していません";
    /// Other hosts could not reach it there.
    AddressElsewhere { address } "init.address" USAGE
        en "{address} is no address of this host at which others reach it" "give one that an interface here has (ip address), with --address"
        ja "{address} は、ほかのホストから届くこのホストのアドレスではありません" "このホストのインターフェースにあるアドレス (ip address で確認できます) を --address に指定してください";
    /// A site was named twice.
    SiteTwice { site } "init.site-twice" USAGE
        en "site {site} is named twice" "name each site once: this host's with --site, all others with --other-site"
        ja "サイト {site} を 2 回指定しています" "このホストのサイトは --site、ほかのサイトは --other-site で、それぞれ 1 回だけ指定してください";
    /// A host would stand at a site that is none.
    SiteNone { site, sites } "token.no-site" FAILED
        en "the cluster has no site {site}" "choose one of its sites: {sites}"
        ja "クラスタにサイト {site} はありません" "次のいずれかを指定してください: {sites}";
    /// This host belongs elsewhere.
    OtherCluster { path } "join.other-cluster" FAILED
        en "this host is in another cluster: {path} is not the certificate of this one" "if it has left that one for good, move /etc/watari and /etc/pki/qemu aside and run this again"
        ja "このホストは別のクラスタに属しています。{path} はこのクラスタの証明書ではありません" "元のクラスタから完全に外した場合は、/etc/watari と /etc/pki/qemu を別の場所に移してから、もう一度実行してください";
    /// The service of enrolment has nothing to show.
    NotAFront { host } "cluster.not-a-front" FAILED
        en "{host} is no front end of this cluster" "run this on the first front end, or name it with --host"
        ja "{host} はこのクラスタのフロントエンドではありません" "最初のフロントエンドで実行するか、--host で名前を指定してください";
    /// Whoever asks is at no NATS server's address.
    NotAServer { seen } "cluster.not-a-server" FAILED
        en "no host of this cluster that may fetch this is at {seen}" "compare with the address in cluster.toml on the first front end"
        ja "{seen} には、これを取得できるこのクラスタのホストがありません" "最初のフロントエンドの cluster.toml にあるアドレスと比べてください";
    /// It is a client, or has not joined yet.
    NothingHere { } "host.nothing-set-up" FAILED
        en "nothing of the cluster is set up on this host" "run this on a front end, witness or node, or leave out --here to look at the whole cluster"
        ja "このホストには、クラスタのものが何も設定されていません" "フロントエンド、立会役、ノードのいずれかで実行するか、--here を外してクラスタ全体を診断してください";
    /// What was given as a token is none.
    TokenForm { } "token.form" USAGE
        en "that is no token" "give the whole line that `watari token create` has printed; it begins with watari1-"
        ja "トークンの形式が正しくありません" "`watari token create` が表示した watari1- で始まる行を、すべて指定してください";
    /// Nobody here has made it.
    TokenUnknown { } "token.unknown" FAILED
        en "this token is not known: it was never made here, or was taken back" "have a new one made on the first front end: watari token create"
        ja "このトークンは登録されていません。ここで作成されていないか、取り消されています" "最初のフロントエンドで watari token create を実行し、新しく作成してください";
    /// Its time is over.
    TokenExpired { at } "token.expired" FAILED
        en "this token was good until {at}" "have a new one made on the first front end: watari token create; and compare the two clocks"
        ja "このトークンの期限は {at} でした" "最初のフロントエンドで watari token create を実行し、新しく作成してください。両方の時計も確認してください";
    /// It has let another host in.
    TokenUsed { host } "token.used" FAILED
        en "this token has let {host} in already, and lets in one host only" "have one made for each host: watari token create; if {host} is none of yours, take the token back and the host out at once: watari token revoke ID, watari token expel {host}"
        ja "このトークンはすでに {host} の参加に使われています。1 つのトークンで参加できるホストは 1 台だけです" "ホストごとに watari token create で作成してください。{host} に心当たりがない場合は、ただちにトークンを取り消し、ホストを除いてください: watari token revoke ID、watari token expel {host}";
    /// It is for something else.
    TokenPart { of, asked } "token.role" FAILED
        en "this token is for a {of}, not for a {asked}" "join as {of}, or have another token made: watari token create --role {asked}"
        ja "このトークンは {of} 用で、{asked} には使えません" "{of} として参加するか、watari token create --role {asked} で別のトークンを作成してください";
    /// It is for another host.
    TokenName { of, asked } "token.name" FAILED
        en "this token is for {of}, but the host calls itself {asked}" "use it on {of}, or have one made for this host: watari token create --name {asked}"
        ja "このトークンは {of} 用ですが、ホストは {asked} と名乗っています" "{of} で使うか、watari token create --name {asked} でこのホスト用に作成してください";
    /// It is for a host elsewhere.
    TokenSite { of, asked } "token.site" FAILED
        en "this token is for a host at {of}, but the host says that it stands at {asked}" "leave --site out, or have a token made for {asked}: watari token create --site {asked}"
        ja "このトークンはサイト {of} 用ですが、ホストは {asked} にあると申告しています" "--site を省くか、watari token create --site {asked} で作成し直してください";
    /// Too many are open.
    TokensMany { most } "token.too-many" FAILED
        en "there are {most} tokens already that nobody has used" "take back those that nobody needs: watari token list, watari token revoke"
        ja "未使用のトークンがすでに {most} 個あります" "watari token list で確認し、不要なものを watari token revoke で取り消してください";
    /// No such token.
    TokenNone { id } "token.none" FAILED
        en "there is no token {id}" "see the IDs with: watari token list"
        ja "トークン {id} はありません" "ID は watari token list で確認できます";
    /// There is no such host.
    HostUnknown { name } "cluster.no-host" FAILED
        en "the cluster's description has no host {name}" "see the names in cluster.toml, in the folder of the cluster on the first front end"
        ja "クラスタの記述にホスト {name} がありません" "最初のフロントエンドのクラスタのフォルダにある cluster.toml で名前を確認してください";
    /// It is a server of NATS, or described together with another.
    HostStays { name } "cluster.host-stays" FAILED
        en "{name} is no node with a [[host]] table of its own in the cluster's description, and stays" "edit cluster.toml on the first front end, and run watari setup there; a NATS server's vote has to be taken away as well"
        ja "{name} は、クラスタの記述に専用の [[host]] を持つノードではないため、除けません" "最初のフロントエンドで cluster.toml を編集し、watari setup を実行してください。NATS サーバの場合は投票権も取り除く必要があります";
    /// Another host has this name.
    HostTaken { name } "join.name-taken" FAILED
        en "the cluster has a host {name} already, with another key, address, site or bridge" "give this one another name (--name); if it is the same machine, installed anew, first on the first front end: watari token expel {name}"
        ja "クラスタにはすでに、鍵、アドレス、サイトまたはブリッジが異なるホスト {name} があります" "--name で別の名前を指定してください。同じマシンを再インストールした場合は、先に最初のフロントエンドで watari token expel {name} を実行してください";
    /// Another host has this key.
    KeyTaken { name } "join.key-taken" FAILED
        en "this host has the same key as {name}, as a copy of its disk would have" "remove /etc/watari/nkeys and /etc/watari/tls on this host, and join again"
        ja "このホストの鍵は {name} と同じです。ディスクを複製した可能性があります" "このホストの /etc/watari/nkeys と /etc/watari/tls を削除してから、もう一度参加してください";
    /// Its key was taken out of the cluster.
    KeyRevoked { name } "join.key-revoked" FAILED
        en "this host has the key of {name}, which was expelled: every host of the cluster refuses that" "remove /etc/watari/nkeys and /etc/watari/tls on this host, and join again"
        ja "このホストの鍵は、クラスタから除かれた {name} のものです。クラスタのホストはこの鍵を受け付けません" "このホストの /etc/watari/nkeys と /etc/watari/tls を削除してから、もう一度参加してください";
    /// It comes from elsewhere than it says.
    HostAddress { address, seen } "join.address" FAILED
        en "the host says that its address is {address}, but it comes from {seen}" "give its own address with --address; between it and the front end no address may be translated"
        ja "ホストは {address} と申告していますが、接続元は {seen} です" "--address に自分のアドレスを指定してください。フロントエンドとの間でアドレス変換はできません";
    /// With it the cluster would not be sound.
    HostUnfit { name, detail } "join.unfit" FAILED
        en "{name} does not go together with the cluster: {detail}" "give --name, --site and --address as they should be, or edit cluster.toml on the first front end"
        ja "{name} をクラスタに加えられません: {detail}" "--name、--site、--address を正しく指定するか、最初のフロントエンドの cluster.toml を編集してください";
    /// Its only NATS server is no cluster, and would lose what it holds by becoming part of one.
    NatsAlone { name } "join.nats-alone" FAILED
        en "{name} cannot join: this cluster's NATS was not made to grow" "where NATS has several servers, add it to cluster.toml and run `watari setup`; where it has one, make a backup, stop everything, move /etc/watari, /etc/nats and /var/lib/nats aside, make the cluster anew with `watari init`, and restore"
        ja "{name} は参加できません。このクラスタの NATS は、後から増やせるように作られていません" "NATS のサーバが複数あれば、cluster.toml に追記して `watari setup` を実行してください。1 台だけなら、バックアップを作成し、すべて停止して /etc/watari、/etc/nats、/var/lib/nats を別の場所に移した後、`watari init` でクラスタを作り直し、復元してください";
    /// What the host sends is not understood.
    JoinRequest { detail } "join.request" FAILED
        en "the front end does not understand this host: {detail}" "install the same version of Watari on both, and join again"
        ja "フロントエンドがこのホストの要求を理解できません: {detail}" "両方に同じ版の Watari をインストールしてから、もう一度参加してください";
    /// What the front end answers is not understood.
    JoinBroken { detail } "join.broken" FAILED
        en "the front end did not let this host in: {detail}" "look there with: journalctl -u watari-enrol; then join again with the same token"
        ja "フロントエンドがこのホストを参加させられませんでした: {detail}" "フロントエンドで journalctl -u watari-enrol を確認し、同じトークンでもう一度参加してください";
    /// What it is to do could not be done here.
    JoinUnfit { codes } "join.host-unfit" FAILED
        en "this host cannot do its part yet: {codes}" "mend what is told above, and join again; nothing was written"
        ja "このホストはまだ役割を果たせません: {codes}" "上に示した点を直してから、もう一度参加してください。何も書き込んでいません";
    /// The package is not there.
    JoinPrograms { programs } "join.programs" FAILED
        en "this host lacks: {programs}" "install the package watari-front, and join again; nothing was written"
        ja "このホストに必要なプログラムがありません: {programs}" "パッケージ watari-front をインストールしてから、もう一度参加してください。何も書き込んでいません";
    /// It is a node.
    JoinNode { path } "join.node" FAILED
        en "this host is a node: it has {path}" "join with another machine; one host is one thing"
        ja "{path} があるため、このホストはノードです" "別のマシンで参加してください。1 台のホストが持てる役割は 1 つだけです";
    /// It is a front end or a witness.
    JoinFront { path } "join.front" FAILED
        en "this host is a front end or a witness: it has {path}" "join with another machine; one host is one thing"
        ja "{path} があるため、このホストはフロントエンドまたは立会役です" "別のマシンで参加してください。1 台のホストが持てる役割は 1 つだけです";
    /// The answer holds other files than such a host has.
    JoinFiles { path } "join.files" FAILED
        en "the front end's answer lacks {path}, or should not hold it; nothing of it was written" "install the same version of Watari on both, and join again with the same token"
        ja "フロントエンドの応答に {path} がないか、余分に含まれています。何も書き込んでいません" "両方に同じ版の Watari をインストールし、同じトークンでもう一度参加してください";
    /// The certificate is not one of this cluster for this host.
    JoinCertificate { detail } "join.certificate" FAILED
        en "the certificate in the answer is not one of this cluster for this host: {detail}" "compare the two clocks and the address; then join again with the same token; nothing was written"
        ja "応答の証明書は、このクラスタがこのホストに発行したものではありません: {detail}" "両方の時計とアドレスを確認し、同じトークンでもう一度参加してください。何も書き込んでいません";
    /// It is not the token's cluster.
    FrontUntrusted { front, detail } "join.untrusted" UNREACHABLE
        en "{front} is no front end of the cluster that this token is of: {detail}" "check the address, the token, and the two clocks; somebody else may be answering there"
        ja "{front} はこのトークンのクラスタのフロントエンドではありません: {detail}" "アドレス、トークン、両方の時計を確認してください。別のものが応答しているおそれがあります";
    /// Nobody is there.
    FrontUnreachable { front, detail } "join.unreachable" UNREACHABLE
        en "the front end does not answer at {front}: {detail}" "check the address, and there: systemctl status watari-enrol"
        ja "フロントエンド {front} が応答しません: {detail}" "アドレスを確認し、そのホストで systemctl status watari-enrol を実行してください";
    // --- the bus ---------------------------------------------------------------------------
    /// No connection.
    NoConnection { urls, detail } "bus.no-connection" UNREACHABLE
        en "no NATS server answers at {urls}: {detail}" "check --nats (WATARI_NATS), and that a front end is running and reachable from here"
        ja "NATS サーバ {urls} が応答しません: {detail}" "--nats (WATARI_NATS) と、フロントエンドが動いていてここから届くかを確認してください";
    /// The server does not know this key.
    IdentityRefused { urls } "bus.identity-refused" UNREACHABLE
        en "the NATS server at {urls} refuses this identity" "name your seed file with --nkey (WATARI_NKEY); `watari setup` makes one as administrator.nk"
        ja "NATS サーバ {urls} がこの利用者を拒否しました" "--nkey (WATARI_NKEY) で自分のシードファイルを指定してください。`watari setup` が administrator.nk として作成します";
    /// The server's certificate is not trusted, or the other way round.
    NoTrust { urls, detail } "bus.no-trust" UNREACHABLE
        en "no encrypted connection to NATS at {urls}: {detail}" "name the cluster's authority with --ca (WATARI_CA), and use tls:// URLs"
        ja "NATS {urls} と暗号化された接続を確立できません: {detail}" "--ca (WATARI_CA) でクラスタの認証局を指定し、tls:// の URL を使ってください";
    /// The URLs and the like make no sense.
    BadConnection { detail } "bus.bad-settings" USAGE
        en "the connection is not described well: {detail}" "give --nats (WATARI_NATS) as tls://HOST:4222, several with commas between"
        ja "接続先の指定が正しくありません: {detail}" "--nats (WATARI_NATS) は tls://ホスト:4222 の形で、複数ある場合はコンマで区切って指定してください";
    /// The file holds no seed.
    NotASeed { path } "bus.not-a-seed" USAGE
        en "{path} holds no nkey seed" "name the file whose text begins with SU, with --nkey (WATARI_NKEY)"
        ja "{path} に nkey のシードがありません" "SU で始まるシードのファイルを --nkey (WATARI_NKEY) で指定してください";
    /// The host's settings cannot be read.
    SettingsSyntax { path, detail } "cli.settings" USAGE
        en "{path} cannot be read as settings: {detail}" "correct the file, or have `watari setup` write it anew"
        ja "{path} を設定として読み取れません: {detail}" "ファイルを修正するか、`watari setup` で作り直してください";
    /// NATS does not let this key ask for that.
    NotPermitted { request, keys, keys_ja } "bus.not-permitted" FAILED
        en "the request {request} needs the key of {keys}" "name such a key with --nkey FILE (WATARI_NKEY), or ask whoever has one; the guide's chapter on security says who may do what"
        ja "リクエスト {request} には{keys_ja}" "必要な鍵を --nkey ファイル (WATARI_NKEY) で指定するか、その鍵を持つ人に依頼してください。権限の一覧は手引きのセキュリティの章にあります";
    /// NATS does not let this key use a subject that is no request's.
    Forbidden { subject, detail } "bus.forbidden" FAILED
        en "NATS does not let this key use {subject}: {detail}" "name the key of a person of this cluster with --nkey FILE (WATARI_NKEY); `watari setup` makes viewer.nk, operator.nk and administrator.nk"
        ja "この鍵では NATS の {subject} を利用できません: {detail}" "このクラスタの利用者の鍵を --nkey ファイル (WATARI_NKEY) で指定してください。`watari setup` が viewer.nk、operator.nk、administrator.nk を作成します";
    /// Nobody answered a question, which changes nothing.
    NobodyAnswers { who } "bus.silent" UNREACHABLE
        en "the service {who} does not answer" "see `watari doctor` for what is the matter, and `watari frontend status` for who leads"
        ja "サービス {who} が応答しません" "原因は watari doctor、主系の状態は watari frontend status で確認できます";
    /// Nobody said whether a change was made.
    OutcomeUnknown { who, request_id } "bus.no-answer" UNREACHABLE
        en "the service {who} did not answer in time; whether it acted is not known" "see `watari doctor`, then repeat the command with --request-id {request_id}: it is not done twice"
        ja "サービス {who} から時間内に応答がありませんでした。実行されたかどうかは不明です" "`watari doctor` で確認し、--request-id {request_id} を付けて再実行してください。二重には実行されません";
    // --- waiting ---------------------------------------------------------------------------
    /// It takes longer than the person wanted to wait.
    WaitedInVain { waited, waited_ja, look, look_ja } "wait.timeout" FAILED
        en "it is not done after {waited}; it goes on" "look how far it is with {look}, or wait longer with --wait-timeout"
        ja "{waited_ja} 待ちましたが完了していません。処理は続いています" "{look_ja} で状況を確認するか、--wait-timeout を長くしてください";
    // --- outages ---------------------------------------------------------------------------
    /// A site was named, and nothing is under way there.
    NoOutageThere { site } "outage.none-there" FAILED
        en "no outage of site {site} has begun" "list the outages with: watari outage list"
        ja "サイト {site} で始まっている停電計画はありません" "停電計画の一覧は watari outage list で確認できます";
    /// A site was named, and nothing is under way or to come there.
    NoOutageAhead { site } "outage.none-ahead" FAILED
        en "no outage of site {site} has begun, and none is scheduled" "schedule one (watari outage schedule {site} --from WHEN --until WHEN), or empty the site at once: watari site evacuate {site}; past ones are in `watari outage list`, and named by their ID"
        ja "サイト {site} には進行中の停電計画も予定された停電計画もありません" "計画を作成するか (watari outage schedule {site} --from 日時 --until 日時)、watari site evacuate {site} ですぐに退避させてください。過去のものは watari outage list で確認し、ID で指定できます";
    /// A site was named, and nothing that is under way or to come there can be rehearsed.
    NoOutageToRehearse { site } "outage.none-to-rehearse" FAILED
        en "no outage of site {site} has begun, and none is scheduled" "rehearse an evacuation that would begin now: watari outage rehearse --site {site}"
        ja "サイト {site} には進行中の停電計画も予定された停電計画もありません" "いま退避を始める場合の予行は watari outage rehearse --site {site} で行えます";
    /// It empties a node alone, whose servers have no other home.
    OutageOfNode { outage, node } "outage.of-node" FAILED
        en "outage {outage} empties node {node} alone: its servers need not come home" "have the node receive servers again with: watari node uncordon {node}"
        ja "停電計画 {outage} はノード {node} だけの退避で、帰還はありません" "ノードの受け入れを再開するには watari node uncordon {node} を実行してください";
    /// Its site has another outage that is under way.
    OtherOutageOpen { outage, site, open } "outage.other-open" FAILED
        en "site {site} has another outage than {outage} under way: {open}" "look at it with `watari outage show {open}`; to bring the servers home all the same: watari outage return {open}"
        ja "サイト {site} では、{outage} ではなく別の停電計画 {open} が進行中です" "`watari outage show {open}` で確認してください。それでも帰還させるには watari outage return {open} を実行します";
    /// Nobody has left for it yet.
    OutageAhead { outage, site, state, state_ja } "outage.ahead" FAILED
        en "outage {outage} is {state} and has not begun, so that no server of site {site} is away for it" "nothing needs doing until then; begin it sooner with `watari outage start {outage}`, or call it off with `watari outage cancel {outage}`; servers that are away for another reason come home with: watari site return {site}"
        ja "停電計画 {outage} は{state_ja}で、まだ始まっていません。この計画のためにサイト {site} を離れているサーバはありません" "開始までは何もする必要はありません。早めに始めるには `watari outage start {outage}`、取り消すには `watari outage cancel {outage}` を実行してください。別の理由で離れているサーバは watari site return {site} で帰還させます";
    /// An outage has times of its own.
    RehearsalTimes { option } "outage.rehearsal-times" USAGE
        en "{option} goes with --site: an outage that is there has times of its own" "leave {option} out, or rehearse an evacuation that would begin now: watari outage rehearse --site SITE {option} ..."
        ja "{option} は --site とともに指定します。作成済みの停電計画の予行では、計画の日時を使います" "{option} を外すか、いま退避を始める場合を watari outage rehearse --site サイト {option} … で予行してください";
    /// What should be a calendar is none, or too much of one.
    Calendar { path, detail } "calendar.unreadable" USAGE
        en "{path} is no calendar that can be read: {detail}" "give an iCalendar file (.ics, RFC 5545) of at most 1 MiB and 1,000 events"
        ja "{path} をカレンダーとして読み取れません: {detail}" "1 MiB、1,000 件以内の iCalendar ファイル (.ics、RFC 5545) を指定してください";
    // --- backups ---------------------------------------------------------------------------
    /// The file is something else.
    BackupNotOne { path } "backup.not-one" USAGE
        en "{path} is no backup of a form that this version knows" "give a file that `watari backup create` has made, and use the version that made it or a newer one"
        ja "{path} はこの版で扱えるバックアップではありません" "`watari backup create` で作成したファイルを指定し、作成時と同じかそれより新しい版を使ってください";
    /// It was one.
    BackupDamaged { path } "backup.damaged" FAILED
        en "{path} is damaged: its bytes are not those that were written" "use another copy or another backup; this one is not to be relied upon"
        ja "{path} は破損しています。書き込まれた内容と一致しません" "別の複製か別のバックアップを使ってください。このファイルは使用できません";
    /// A document cannot be read.
    BackupDocument { bucket, key, detail } "backup.document" FAILED
        en "document {key} of bucket {bucket} cannot be used: {detail}" "use the version of Watari that wrote it, or mend the document and make a new backup"
        ja "バケット {bucket} の文書 {key} を使用できません: {detail}" "書き込んだ版の Watari を使うか、文書を修正してからバックアップを作り直してください";
    /// A bucket cannot be read or written.
    BackupBus { bucket, detail } "backup.bus" UNREACHABLE
        en "bucket {bucket} cannot be read or filled: {detail}" "run this as root on a front end whose NATS has a majority; the identity is named in /etc/watari/backup.toml. It may be repeated"
        ja "バケット {bucket} を読み書きできません: {detail}" "NATS の過半数がそろっているフロントエンドで root として実行してください。利用者は /etc/watari/backup.toml に指定されています。繰り返し実行できます";
    /// It is the identity of a person.
    BackupNotPermitted { detail } "backup.not-permitted" FAILED
        en "NATS does not let this identity read and fill the buckets: {detail}" "run this as root on a front end: there it uses the identity that /etc/watari/backup.toml names"
        ja "この利用者には、バケットを読み書きする権限がありません: {detail}" "フロントエンドで root として実行してください。そこでは /etc/watari/backup.toml にある利用者を使います";
    /// No service has made it yet.
    BackupNoBucket { bucket } "backup.no-bucket" FAILED
        en "there is no bucket {bucket} yet" "start the services once, so that they make their buckets: systemctl start watari-front.target; to restore, stop them again"
        ja "バケット {bucket} がまだありません" "一度サービスを起動すると作成されます: systemctl start watari-front.target。復元するには、その後で停止してください";
    /// Somebody would decide upon half of the documents.
    BackupServicesRun { services } "backup.services-run" FAILED
        en "services run: {services}" "stop them on every front end first: systemctl stop watari-scheduler watari-image watari-network watari-monitor; servers run on"
        ja "サービスが動いています: {services}" "先に全フロントエンドで停止してください: systemctl stop watari-scheduler watari-image watari-network watari-monitor。サーバは動き続けます";
    /// A backup is not poured over what is there.
    BackupNotEmpty { bucket, key } "backup.not-empty" FAILED
        en "this installation is not empty: bucket {bucket} has document {key}" "restore into an empty one only: stop NATS on all its hosts, move /var/lib/nats (or its contents, if it is a mount point) aside, and start anew; the guide's chapter on backups has every step"
        ja "この環境は空ではありません。バケット {bucket} に文書 {key} があります" "復元できるのは空の環境だけです。全ホストで NATS を停止し、/var/lib/nats (マウントポイントならその中身) を別の場所に移してから起動し直してください。手順は手引きのバックアップの章にあります";
    /// Agents would refuse every order.
    BackupEpoch { reached, seen } "backup.epoch-behind" FAILED
        en "epochs would begin at {reached}, but nodes have seen {seen}, and would refuse all orders" "set the clocks of the NATS hosts, stop everything, move /var/lib/nats aside, and start anew, as the guide's chapter on backups says: epochs begin at the time of day"
        ja "エポックが {reached} から始まりますが、ノードはすでに {seen} を受け取っており、指示を拒否します" "NATS の全ホストの時計を合わせ、すべて停止して /var/lib/nats を別の場所に移し、手引きのバックアップの章のとおりに起動し直してください。エポックは現在時刻から始まります";
    // --- uploads ---------------------------------------------------------------------------
    /// The front end stopped the upload.
    UploadRefused { code, detail } "upload.refused" FAILED
        en "the front end does not take the file ({code}): {detail}" "see `watari image list`, then import again"
        ja "フロントエンドがファイルを受け取りません ({code}): {detail}" "`watari image list` を確認してから、もう一度取り込んでください";
    /// No bytes get through.
    UploadBroken { detail } "upload.broken" UNREACHABLE
        en "the file does not get through: {detail}" "check the network to the front end and --ca (WATARI_CA), then import again"
        ja "ファイルを送信できません: {detail}" "フロントエンドまでのネットワークと --ca (WATARI_CA) を確認し、もう一度取り込んでください";
    /// The file is not one, or changed.
    UploadFile { path, detail } "upload.file" USAGE
        en "{path} cannot be imported: {detail}" "give a file that holds a qcow2 or raw disk image and does not change meanwhile"
        ja "{path} を取り込めません: {detail}" "qcow2 または raw のディスクイメージで、送信中に変化しないファイルを指定してください";
}

/// As a front end says it to a host that wants to join.
impl From<&Fault> for scheduler::Fault {
    fn from(fault: &Fault) -> Self {
        let Rendered { cause, remedy } = fault.rendered(Lang::En);
        Self { code: fault.code().to_owned(), cause, remedy, ja: fault.rendered(Lang::Ja) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn who_waited_in_vain_is_told_for_how_long_and_where_to_look_in_their_language() {
        let waited = Fault::waited(1);
        let ja = waited.rendered(Lang::Ja);
        assert!(ja.cause.starts_with("1 ミリ秒待ちました") && ja.remedy.starts_with("対応する show で"), "{ja:?}");
        let by_list = waited.looked_at_by("watari vm snapshot list mail");
        let (en, ja) = (by_list.rendered(Lang::En), by_list.rendered(Lang::Ja));
        assert!(en.cause.contains("after 1 ms") && en.remedy.contains("`watari vm snapshot list mail`"), "{en:?}");
        assert!(ja.remedy.starts_with("`watari vm snapshot list mail` で"), "{ja:?}");
    }

    #[test]
    fn every_fault_has_a_code_of_its_own_a_cause_and_a_remedy_in_both_languages() {
        let mut codes = BTreeSet::new();
        for fault in Fault::examples() {
            assert!(codes.insert(fault.code()), "{} stands twice", fault.code());
            let (en, ja) = (fault.rendered(Lang::En), fault.rendered(Lang::Ja));
            for text in [&en.cause, &en.remedy, &ja.cause, &ja.remedy] {
                assert!(!text.is_empty() && !text.contains(['{', '}']), "{}: {text}", fault.code());
            }
            assert!(en.cause.is_ascii() && en.remedy.is_ascii(), "{}", fault.code());
            assert!(ja.remedy.chars().any(|c| ('\u{3040}'..='\u{30ff}').contains(&c)), "{}", fault.code());
        }
    }
}
