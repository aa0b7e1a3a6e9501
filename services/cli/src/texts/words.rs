//! Words and lines of what the command says when nothing is wrong. Each takes the language, so
//! that none can lack one.

use watari_model::NodeName;

use crate::{format::counted, lang::Lang};

macro_rules! words {
    ($($(#[$doc:meta])* $word:ident $en:literal $ja:literal;)*) => {
        /// A word or sentence without places to fill.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Word {
            $($(#[$doc])* #[doc = $en] $word,)*
        }

        impl Word {
            /// The text in the language.
            #[must_use]
            pub const fn text(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Self::$word, Lang::En) => $en, (Self::$word, Lang::Ja) => $ja,)*
                }
            }

            /// All of them, for tests of completeness.
            pub const ALL: &'static [Self] = &[$(Self::$word),*];
        }
    };
}

words! {
    // --- headers ---------------------------------------------------------------------------
    About "ABOUT" "対象";
    Address "ADDRESS" "アドレス";
    Addresses "ADDRESSES" "アドレス";
    After "AFTER" "依存先";
    Algorithm "ALGORITHM" "方式";
    Agent "AGENT" "エージェント";
    Before "BEFORE" "依存元";
    BeforeAndAfter "BEFORE -> AFTER" "変更前 → 変更後";
    Begins "BEGINS" "開始";
    Boots "DESIRED" "望む状態";
    Bucket "KIND" "種類";
    By "WHO" "実行者";
    CameFrom "FROM" "接続元";
    Changed "CHANGED" "最終変更";
    StateSince "STATE SINCE" "状態の開始";
    Cidr "SUBNET" "サブネット";
    Code "CODE" "コード";
    Comment "COMMENT" "コメント";
    Consistency "CONSISTENCY" "整合性";
    Copies "COPIES AT" "複製のあるサイト";
    Cordoned "CORDONED" "受入停止";
    Cpu "CPU" "CPU";
    Created "CREATED" "作成";
    Data "DATA" "転送量";
    Disk "DISK" "ディスク";
    Done "DONE" "処理";
    Display "DISPLAY" "ディスプレイ";
    DiskHours "DISK GiB-HOURS" "ディスク (GiB 時間)";
    Documents "DOCUMENTS" "文書数";
    DiskFree "DISK FREE" "ディスク空き";
    DiskMoved "DISK MOVED" "ディスク転送量";
    Dns "NAME SERVERS" "ネームサーバ";
    Downtime "STOOD STILL" "停止の合計";
    Ends "ENDS" "完了";
    Epoch "EPOCH" "エポック";
    Estimated "ESTIMATED" "所要見込み";
    Evacuate "EVACUATE" "退避方針";
    Expires "GOOD UNTIL" "期限";
    Event "EVENT" "予定";
    ExistingHours "EXISTING HOURS" "存在時間";
    Fault "FAULT" "障害";
    Fencing "FENCING" "電源制御";
    File "FILE" "ファイル";
    Finding "FINDING" "所見";
    Found "FOUND" "確認結果";
    Fingerprint "FINGERPRINT" "指紋";
    Followers "FOLLOWERS" "複製先";
    Format "FORMAT" "形式";
    Free "FREE" "空き";
    From "FROM" "移動元";
    Gateway "GATEWAY" "ゲートウェイ";
    Generation "GENERATION" "世代";
    Groups "GROUPS" "グループ";
    HomeAgain "HOME AGAIN" "帰還";
    HomeSite "HOME" "本来の場所";
    HostName "HOST NAME" "ホスト名";
    Host "HOST" "ホスト";
    Id "ID" "ID";
    Image "IMAGE" "イメージ";
    Ipv6 "IPV6 SUBNET" "IPv6 サブネット";
    KeptDisks "KEPT DISKS" "残したディスク";
    KeptSince "KEPT SINCE" "保管開始";
    Keys "KEYS" "鍵";
    Kind "KIND" "種別";
    Labels "LABELS" "ラベル";
    LastTry "LAST TRY" "前回の試行";
    Leader "LEADER" "リーダー";
    LeadsFrom "LEADS FROM" "主系のサイト";
    Leg "LEG" "区間";
    Libvirt "LIBVIRT" "libvirt の版";
    LoginAs "LOG IN AS" "ログイン名";
    Mac "MAC" "MAC アドレス";
    Makespan "MAKESPAN" "全体の時間";
    MaxDowntime "LONGEST PAUSE" "移行時の最長停止";
    Moving "IF IT MOVES" "移行時の負荷";
    Memory "MEMORY" "メモリ";
    MemoryHours "MEMORY GiB-HOURS" "メモリ (GiB 時間)";
    MemoryMoved "MEMORY MOVED" "メモリ転送量";
    Migration "MIGRATION" "移行";
    Mtu "MTU" "最大パケット長";
    Name "NAME" "名前";
    NeedsAtLeast "NEEDS AT LEAST" "最低必要量";
    Network "NETWORK" "ネットワーク";
    Networks "NETWORKS" "ネットワーク";
    Node "NODE" "ノード";
    Nodes "NODES" "ノード";
    NotRecordedHours "HOURS NOT RECORDED" "記録のない時間";
    OnIsolation "WHEN CUT OFF" "ノード孤立時";
    Guarded "counted on" "確認済み";
    NotGuarded "not counted on: its node has not said so, or has no watchdog" "未確認。ノードが了承していないか、ウォッチドッグがありません";
    Outage "OUTAGE" "停電計画";
    OwnAddress "ITS OWN ADDRESS" "サーバ自身のアドレス";
    Part "ROLE" "役割";
    Pause "OF WHICH SWITCHING" "うち切替待ち";
    Power "POWER" "電源";
    PowerBack "UNTIL" "停電終了";
    ObjectStore "OBJECT STORE" "オブジェクトストア";
    PowerOff "POWER OFF FROM" "停電開始";
    Pending "FROM NEXT START" "次回の起動から";
    Priority "PRIORITY" "優先度";
    Probes "PROBES" "プローブ";
    Project "PROJECT" "プロジェクト";
    PublicAddresses "PUBLIC ADDRESS" "公開アドレス";
    PublicKey "PUBLIC KEY" "公開鍵";
    Qemu "QEMU" "QEMU の版";
    Range "RANGE" "配布範囲";
    Excluded "EXCLUDED" "取り置き (指定時のみ)";
    Reachable "NODE ANSWERS" "ノードの応答";
    Reason "REASON" "理由";
    Remedy "REMEDY" "対処";
    Replicas "COPIES" "複製数";
    Request "REQUEST" "リクエスト";
    Reserved "RESERVED FOR GROWING" "拡張用に確保済み";
    Restart "RESTARTED" "自動再起動";
    RestartFromCopy "RESTARTED FROM A COPY" "複製からの再起動";
    Restored "LAST TIME FROM A COPY" "前回の複製からの再起動";
    Revision "REVISION" "改訂番号";
    Routes "ROUTES" "経路";
    RunningHours "RUNNING HOURS" "稼働時間";
    SavedAt "SAVED AS OF" "保存時点";
    SavedFrom "SAVED FROM" "保存元サーバ";
    Scope "SCOPE" "対象";
    Identity "ANTI-SPOOFING" "なりすまし防止";
    Enforced "enforced" "有効";
    NotEnforced "NOT ENFORCED" "無効";
    Segment "SEGMENT" "セグメント";
    SentAhead "SENT AHEAD" "事前転送";
    NotSentYet "NOT SENT YET" "事前転送の待機理由";
    Note "NOTE" "メモ";
    Snapshots "SNAPSHOTS" "スナップショット";
    Reverted "WENT BACK TO" "復元したスナップショット";
    Segments "SEGMENTS" "セグメント";
    Sha256 "SHA-256" "SHA-256";
    Service "SERVICE" "サービス";
    Severity "SEVERITY" "重要度";
    Silent "LAST BEAT" "最終通信";
    Rule "LETS THROUGH" "許可";
    Rules "RULES" "規則数";
    Firewalls "FIREWALL" "ファイアウォール";
    Firmware "FIRMWARE" "ファームウェア";
    Site "SITE" "サイト";
    Size "SIZE" "サイズ";
    Standbys "STANDBYS (WRITES BEHIND)" "待機系 (未反映の書き込み)";
    State "STATE" "状態";
    Summary "WHAT HAPPENED" "内容";
    Time "TIME" "時刻";
    Title "TITLE" "表示名";
    To "TO" "移動先";
    Total "TOTAL" "所要時間";
    Transferred "TRANSFERRED" "転送量";
    Used "USED" "使用中";
    UsedByOthers "USED BY OTHERS" "ほかの機器が使用";
    UsedBy "USED BY" "使用サーバ";
    UserData "USER-DATA" "user-data の概要";
    Uuid "UUID" "UUID";
    VcpuHours "VCPU-HOURS" "仮想 CPU 時間";
    Vcpus "VCPUS" "仮想 CPU";
    Vni "VNI" "VNI 番号";
    Virtualisation "VIRTUALISATION" "仮想化方式";
    VirtualSize "DISK SIZE" "ディスクサイズ";
    Vlans "VLANS" "VLAN";
    Vm "SERVER" "サーバ";
    Vms "SERVERS" "サーバ数";
    Votes "VOTES" "投票権";
    VmsHome "SERVERS AT HOME HERE" "本来の場所とするサーバ数";
    Why "CAUSE" "原因";
    // --- values ----------------------------------------------------------------------------
    Yes "yes" "はい";
    No "no" "いいえ";
    NoLongPause "none allowed: it is slowed down instead" "許可しない (代わりに動作を遅くします)";
    Away "away" "不在";
    UpToDate "up to date" "最新";
    CatchingUp "catching up" "追従中";
    ConsistencyFilesystem
        "filesystem: all that the guest had written is in it"
        "filesystem: ゲストが書き込んだ内容がすべて入っています";
    ConsistencyCrash
        "crash: what was on the disk, as after a power cut"
        "crash: 電源断の直後と同じディスクの内容です";
    FoundAsBefore "where it was" "元の場所";
    FoundMoved "has moved since" "作成後に移動";
    FoundGone "NOT FOUND" "見つからない";
    FoundSilent "its node is silent" "ノードが応答なし";
    FoundUnplaced "had no node" "未配置";
    Paused "paused" "一時停止中";
    EventScheduled "scheduled" "登録";
    Proposed "proposed" "開始待ち";
    EventMoved "moved" "日時変更";
    EventCancelled "called off" "取消";
    EventUnchanged "unchanged" "変更なし";
    EventSkipped "left out" "対象外";
    EventUnclear "NOT READ" "読み取り不可";
    EventRefused "REFUSED" "拒否";
    PowerIsOff "power outage" "停電";
    Evacuation "evacuation" "退避";
    EvacuationAndReturn "evacuation and return" "退避と帰還";
    NodeSilent "its node does not answer" "ノードの応答なし";
    StandsStill "stands still" "動作停止中";
    SeverityNote "note" "参考";
    SeverityWarning "warning" "警告";
    SeverityFailure "FAILURE" "異常";
    Matters "why:" "影響:";
    Mend "mend:" "対処:";
    ApplyCreate "create" "作成";
    ApplyChange "change" "変更";
    ApplyFixed "CANNOT BE CHANGED" "変更不可";
    // --- lists of none ---------------------------------------------------------------------
    NoVms "There are no servers." "サーバはありません。";
    NoSnapshots "The server has no snapshots." "サーバにスナップショットはありません。";
    NoServersDeclared "The file declares no servers." "ファイルにサーバの宣言がありません。";
    NoNodes "There are no nodes." "ノードはありません。";
    NoSites "There are no sites." "サイトはありません。";
    NoImages "There are no images." "イメージはありません。";
    NoFirewalls "There are no firewall groups." "ファイアウォールグループはありません。";
    NoNetworks "There are no networks." "ネットワークはありません。";
    NoPorts "There are no addresses in use." "使用中のアドレスはありません。";
    NoPublicAddresses "There are no public addresses." "公開アドレスはありません。";
    NoDisks "No disks of deleted servers are kept." "残したディスクはありません。";
    NoKeys "There are no keys." "鍵はありません。";
    NoProjects "There are no projects." "プロジェクトはありません。";
    NoTokens "There are no tokens." "トークンはありません。";
    NothingJournalled "Nothing was written down here yet." "まだ記録はありません。";
    NoMigrations "There are no migrations." "移行はありません。";
    NoOutages "There are no outages." "停電計画はありません。";
    NoEvents "There are no such events." "該当する出来事の記録はありません。";
    NoEventsInCalendar "There are no such events in the calendar." "カレンダーに該当する予定はありません。";
    NothingWrong "Nothing is wrong." "異常はありません。";
    NoUsage "There was no server in that time." "その期間に存在したサーバはありません。";
    NothingMoved "No server had to move." "移動が必要なサーバはありませんでした。";
    WouldMoveTitle "Would move, beginning in about this order:" "おおよそ次の順に移動を始めます:";
    WouldStayTitle "Would not move:" "移動できないサーバ:";
    NothingToMove "There is nothing to move." "移動するサーバはありません。";
    GoesOn "It goes on." "再開しました。";
    CalledOff
        "It was called off: servers that were on their way still arrive, all others stay."
        "中止されました。移動中だったサーバは到着し、ほかは元の場所に残ります。";
    CalledOffBefore
        "It was called off before it began: no server was moved."
        "開始前に取り消されました。サーバは移動していません。";
    MovedTitle "Moved:" "移動したサーバ:";
    StartingTitle "Starting, and would move then:" "起動中で、起動後に移動するサーバ:";
    ArrivingTitle
        "On their way into the site, and would have to leave it again (not in the estimate):"
        "退避する場所へ移動中で、到着後に改めて退避が必要なサーバ (見積りには含みません):";
    MovingTitle "On their way or waiting for their turn:" "移動中または順番待ちのサーバ:";
    FailedTitle "Not moved:" "移動できなかったサーバ:";
    // --- setup -----------------------------------------------------------------------------
    SetupSecrets
        "keep the folders ca and nkeys secret and safe, off the hosts; the next run needs them"
        "ca と nkeys のフォルダは秘密です。ホスト以外の安全な場所に保管してください。次回の実行に必要です";
    // --- backups ---------------------------------------------------------------------------
    BackupSecret
        "the file holds servers' user-data, which may be secret: keep it as you keep a key; image files and disks are not in it"
        "ファイルには秘密を含みうる user-data が入っています。鍵と同じように保管してください。イメージの実体とディスクは含まれません";
    BackupSound
        "The file is whole: every byte is as it was written, and every document can be used."
        "ファイルは正常です。内容は作成時のままで、すべての文書を使用できます。";
    ListeningToNodes "listening to what nodes say of their servers" "各ノードからサーバの状態を聞いています";
    RestoredOff
        "servers that were not found are off until you start or delete them; `watari vm show` says why"
        "見つからなかったサーバは、起動または削除するまで停止のままです。理由は `watari vm show` で確認できます";
    // --- waiting ---------------------------------------------------------------------------
    Interrupted
        "stopped waiting; what was asked for goes on"
        "待つのをやめました。指示した処理は続いています";
    NothingDone "nothing was done" "何も実行していません";
    Hashing "computing SHA-256" "SHA-256 を計算中";
    Fetching "the front end fetches the file" "フロントエンドがファイルを取得中";
    AwaitingServer "waiting until the server's disk can be copied" "サーバのディスクを複製できるまで待機中";
    CopyingDisk "its node copies the server's disk" "ノードがサーバのディスクを複製中";
    Sending "its node sends the copy" "ノードが複製を送信中";
    Verifying "the front end checks the file" "フロントエンドがファイルを検査中";
    AwaitingStore "the file is sound; waiting for the object store" "ファイルは検査済み。オブジェクトストアを待機中";
    Resuming "the connection broke; going on where it broke" "接続が切れたため、途中から再開します";
}

/// What `setup` begins its summary with.
#[must_use]
pub fn setup_done(lang: Lang, cluster: &str, out: &str) -> String {
    match lang {
        Lang::En => format!("cluster {cluster}: the hosts' files are in {out}/hosts"),
        Lang::Ja => format!("クラスタ {cluster}: 各ホストのファイルは {out}/hosts にあります"),
    }
}

/// How many files of a host were written and left.
#[must_use]
pub fn setup_files(lang: Lang, written: usize, kept: usize) -> String {
    match lang {
        Lang::En => format!("files written: {written:>3}, unchanged: {kept:>3} "),
        Lang::Ja => format!("作成 {written:>3} 件、変更なし {kept:>3} 件 "),
    }
}

/// From where the services should lead.
#[must_use]
pub fn wished(lang: Lang, site: &str, home: &str) -> String {
    match (lang, site == home) {
        (Lang::En, true) => format!("the services should lead from {site}"),
        (Lang::En, false) => format!("the services should lead from {site} for now; their home is {home}"),
        (Lang::Ja, true) => format!("主系のサイトは {site} と指定されています"),
        (Lang::Ja, false) => format!("主系のサイトは当面 {site} です。本来の場所は {home} です"),
    }
}

/// A hand-over has been asked for.
#[must_use]
pub fn promoting(lang: Lang, site: &str) -> String {
    match lang {
        Lang::En => format!("the services go over to {site}; follow it with: watari frontend status"),
        Lang::Ja => format!("サービスは {site} に移ります。経過は watari frontend status で確認できます"),
    }
}

/// The NATS servers' majority.
#[must_use]
pub fn majority(lang: Lang, leader: &str, votes: usize, needed: u32) -> String {
    match lang {
        Lang::En => format!("NATS: led by {leader}; {votes} votes are there, {needed} are needed"),
        Lang::Ja => format!("NATS: リーダー {leader}、投票できるサーバ {votes} 台、必要 {needed} 台"),
    }
}

/// The control plane has moved.
#[must_use]
pub fn control_moved(lang: Lang, site: &str, took_ms: u64) -> String {
    let took = crate::format::time(lang, took_ms);
    match lang {
        Lang::En => format!("the services are led from {site}; going over took {took}"),
        Lang::Ja => format!("サービスの主系は {site} にあります。交代にかかった時間 {took}"),
    }
}

/// The control plane is on its way.
#[must_use]
pub fn control_moving(lang: Lang, site: &str) -> String {
    match lang {
        Lang::En => format!("the services go over to {site}"),
        Lang::Ja => format!("サービスの主系を {site} に移しています"),
    }
}

/// A thing is gone.
#[must_use]
pub fn gone(lang: Lang, name: &str) -> String {
    match lang {
        Lang::En => format!("{name} is deleted"),
        Lang::Ja => format!("{name} を削除しました"),
    }
}

/// How fast bytes travel and how long it takes yet.
#[must_use]
pub fn pace(lang: Lang, rate: u64, left_ms: Option<u64>) -> String {
    // Nothing travels just now, or it is not measured yet.
    if rate == 0 {
        return String::new();
    }
    let rate = crate::format::bytes(rate);
    match (lang, left_ms.map(|ms| crate::format::time(lang, ms))) {
        (Lang::En, Some(left)) => format!("{rate}/s, {left} left"),
        (Lang::En, None) => format!("{rate}/s"),
        (Lang::Ja, Some(left)) => format!("{rate}/秒、残り {left}"),
        (Lang::Ja, None) => format!("{rate}/秒"),
    }
}

/// How long ago something was.
#[must_use]
pub fn ago(lang: Lang, millis: u64) -> String {
    let time = crate::format::lasting(millis);
    match lang {
        Lang::En => format!("{} ago", time.en),
        Lang::Ja => format!("{}前", time.ja),
    }
}

/// From where to where.
#[must_use]
pub fn way(lang: Lang, from: &NodeName, to: &NodeName) -> String {
    match lang {
        Lang::En => format!("{from} -> {to}"),
        Lang::Ja => format!("{from} → {to}"),
    }
}

/// A server has moved.
#[must_use]
pub fn moved(lang: Lang, vm: &str, from: &str, to: &str, total_ms: u64, downtime_ms: u64) -> String {
    let (total, downtime) = (crate::format::time(lang, total_ms), crate::format::time(lang, downtime_ms));
    match lang {
        Lang::En => format!("{vm}: {from} -> {to} in {total}, stood still for {downtime}"),
        Lang::Ja => format!("{vm}: {from} → {to} 所要 {total}、停止 {downtime}"),
    }
}

/// When the power will be off, and why.
#[must_use]
pub fn power_off(lang: Lang, from: &str, until: &str, note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!(": {note}") };
    match lang {
        Lang::En => format!("power off from {from} until {until}{note}"),
        Lang::Ja => format!("停電 {from} から {until} まで{note}"),
    }
}

/// How long the battery lasts, and whether that is enough for who is still there.
#[must_use]
pub fn on_battery(lang: Lang, seconds_left: Option<u64>, needed_ms: Option<u64>) -> String {
    let left_ms = seconds_left.map(|left| left.saturating_mul(1_000));
    let too_short = left_ms.zip(needed_ms).is_some_and(|(left, needed)| needed > left);
    let (left, needed) =
        (left_ms.map(|ms| crate::format::time(lang, ms)), needed_ms.map(|ms| crate::format::time(lang, ms)));
    match lang {
        Lang::En => {
            let risk = if too_short { "AT RISK: " } else { "" };
            let left = left.unwrap_or_else(|| "a time that is not known".to_owned());
            let needed = needed.unwrap_or_else(|| "a time that no migration has shown yet".to_owned());
            format!("{risk}the battery lasts {left}; for the servers that are still there it takes {needed}")
        }
        Lang::Ja => {
            let risk = if too_short { "間に合わない見込みです: " } else { "" };
            let left = left.unwrap_or_else(|| "不明".to_owned());
            let needed = needed.unwrap_or_else(|| "移行の実績がなく不明".to_owned());
            format!("{risk}バッテリー残り時間 {left}、残りのサーバの所要見込み {needed}")
        }
    }
}

/// When a scheduled evacuation begins, before what it would come to.
#[must_use]
pub fn would_begin(lang: Lang, at: &str) -> String {
    match lang {
        Lang::En => format!("The evacuation begins at {at}; it would go like this now:"),
        Lang::Ja => format!("退避は {at} に始まります。現時点の見込みは次のとおりです:"),
    }
}

/// Since when nothing more of an outage begins, and how it goes on.
#[must_use]
pub fn paused(lang: Lang, id: &str, since: &str) -> String {
    match lang {
        Lang::En => format!("paused since {since}: nothing more begins until: watari outage resume {id}"),
        Lang::Ja => format!("{since} から一時停止中です。再開するには watari outage resume {id} を実行してください"),
    }
}

/// How many servers could not leave in a scheduled outage.
#[must_use]
pub fn at_risk(lang: Lang, servers: usize) -> String {
    match lang {
        Lang::En => format!("{servers} could not leave"),
        Lang::Ja => format!("退避できない見込み {servers} 台"),
    }
}

/// Which nodes a return waits for.
#[must_use]
pub fn awaited(lang: Lang, nodes: &[NodeName]) -> String {
    let nodes: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    let nodes = nodes.join(", ");
    match lang {
        Lang::En => format!("waiting until these nodes are ready: {nodes}"),
        Lang::Ja => format!("ノードの準備ができるのを待っています: {nodes}"),
    }
}

/// How many servers have moved, and how many not, after how long.
#[must_use]
pub fn tally(lang: Lang, moved: usize, failed: usize, makespan_ms: u64) -> String {
    let time = crate::format::time(lang, makespan_ms);
    match lang {
        Lang::En => format!("{moved} moved, {failed} not moved, in {time}"),
        Lang::Ja => format!("移動 {moved} 台、移動できなかったサーバ {failed} 台、所要 {time}"),
    }
}

/// How much is wrong.
#[must_use]
pub fn found(lang: Lang, failures: usize, warnings: usize, notes: usize) -> String {
    match lang {
        Lang::En => {
            [(failures, "failure"), (warnings, "warning"), (notes, "note")].map(|(n, of)| counted(n, of)).join(", ")
        }
        Lang::Ja => format!("異常 {failures} 件、警告 {warnings} 件、参考 {notes} 件"),
    }
}

/// The last line of a plan.
#[must_use]
pub fn outlook(
    lang: Lang,
    (moves, under_way, failed): (usize, usize, usize),
    bytes: u64,
    estimated_ms: Option<u64>,
) -> String {
    let (data, time) = (crate::format::bytes(bytes), estimated_ms.map(|ms| crate::format::time(lang, ms)));
    let needs = match (lang, time) {
        _ if moves + under_way == 0 => String::new(),
        (Lang::En, Some(time)) => format!(" ({data}, about {time})"),
        (Lang::En, None) => format!(" ({data}; no migration between sites has shown yet how fast)"),
        (Lang::Ja, Some(time)) => format!(" ({data}、約 {time})"),
        (Lang::Ja, None) => format!(" ({data}。サイト間の移行の実績がまだなく、所要時間は不明)"),
    };
    match (lang, under_way) {
        (Lang::En, 0) => format!("{moves} would move{needs}, {failed} would not"),
        (Lang::En, _) => format!("{moves} would move, {under_way} under way or starting{needs}, {failed} would not"),
        (Lang::Ja, 0) => format!("移動 {moves} 台{needs}、移動できないサーバ {failed} 台"),
        (Lang::Ja, _) => {
            format!("移動 {moves} 台、移動中または起動中 {under_way} 台{needs}、移動できないサーバ {failed} 台")
        }
    }
}

/// How to go on with what was begun and is not waited for.
#[must_use]
pub fn follow_outage(lang: Lang, id: &str) -> String {
    match lang {
        Lang::En => format!("under way as {id}; follow it with: watari outage show {id} --wait"),
        Lang::Ja => format!("{id} として進行中です。経過は watari outage show {id} --wait で確認できます"),
    }
}

/// How an upload that broke is resumed later.
#[must_use]
pub fn resume_import(lang: Lang, request_id: &str) -> String {
    match lang {
        Lang::En => format!("to go on where it broke, repeat the command with --request-id {request_id}"),
        Lang::Ja => format!("途中から再開するには --request-id {request_id} を付けて再実行してください"),
    }
}

/// The reason why something is not yet as it should be.
#[must_use]
pub fn because(state: &str, cause: &str) -> String {
    format!("{state} ({cause})")
}

#[cfg(test)]
mod tests;
