//! Everything that `watari doctor` can find: one table, each with a stable code, how bad it is, what is seen,
//! why it matters and what mends it, in both languages. Without one of them it does not compile.

use serde::Serialize;
use watari_model::{Said, filled, node::health::Link};

use crate::lang::Lang;

/// How bad something is. The worst decides the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing need be done.
    Note,
    /// Something works, but not for long or not if something else fails.
    Warning,
    /// Something does not work.
    Failure,
}

/// What a person is told of one finding, in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// What is seen.
    pub seen: String,
    /// Why it matters.
    pub matters: String,
    /// What mends it: a command, wherever there is one.
    pub mend: String,
}

macro_rules! troubles {
    ($($(#[$doc:meta])* $variant:ident { $($field:ident),* } $code:literal $severity:ident
        en $en_seen:literal $en_matters:literal $en_mend:literal
        ja $ja_seen:literal $ja_matters:literal $ja_mend:literal;)*) => {
        /// What is wrong. Field values are text, ready to be shown.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Trouble {
            $($(#[$doc])* $variant {
                $(#[doc = concat!("Fills `{", stringify!($field), "}`.")] $field: Said),*
            },)*
        }

        impl Trouble {
            /// The stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code,)* }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(&self) -> Severity {
                match self { $(Self::$variant { .. } => Severity::$severity,)* }
            }

            /// What a person is told of it.
            #[must_use]
            pub fn told(&self, lang: Lang) -> Told {
                match self { $(Self::$variant { $($field),* } => {
                    let fields: &[(&str, &str)] = &[$((stringify!($field), lang.of($field))),*];
                    let (seen, matters, mend) = match lang {
                        Lang::En => ($en_seen, $en_matters, $en_mend),
                        Lang::Ja => ($ja_seen, $ja_matters, $ja_mend),
                    };
                    Told { seen: filled(seen, fields), matters: filled(matters, fields), mend: filled(mend, fields) }
                })* }
            }

            /// One of each, every field holding its own name: for tests of completeness.
            #[must_use]
            pub fn examples() -> Vec<Self> {
                vec![$(Self::$variant { $($field: Said::both(concat!("<", stringify!($field), ">"))),* }),*]
            }
        }
    };
}

troubles! {
    // --- the doctor itself -----------------------------------------------------------------
    /// A question was not answered, so that what it would have shown is not known.
    Unasked { subject, cause } "doctor.unanswered" Failure
        en "{subject} cannot be looked at: {cause}" "nothing is known of it, good or bad" "watari frontend status"
        ja "{subject} を確認できません: {cause}" "正常かどうかを判断できません" "watari frontend status で主系の状態を確認してください";
    /// The person may not ask that.
    NotPermitted { subject } "doctor.not-permitted" Note
        en "{subject} is not shown to this identity" "it was left out of this examination" "watari doctor --nkey FILE, with the key of an operator or administrator"
        ja "この利用者には {subject} を参照する権限がありません" "今回の診断には含まれていません" "操作者または管理者の鍵で watari doctor --nkey ファイル を実行してください";
    // --- the host on which it is called ------------------------------------------------------
    /// Set up, and off.
    HostServiceStopped { host, unit } "host.service-stopped" Failure
        en "{unit} is set up on this host ({host}) and does not run" "what it does is not done here"
           "watari doctor --fix, or: systemctl start {unit}; journalctl -u {unit} -n 50 says why it ended"
        ja "このホスト ({host}) に設定されている {unit} が動いていません" "このサービスの処理が行われません"
           "watari doctor --fix または systemctl start {unit} を実行してください。停止した理由は journalctl -u {unit} -n 50 で確認できます";
    /// It does not start with the host.
    HostTargetDisabled { host, unit } "host.target-disabled" Warning
        en "{unit} of this host ({host}) is not enabled" "its services do not come back by themselves after a loss of power"
           "watari doctor --fix, or: systemctl enable {unit}"
        ja "このホスト ({host}) の {unit} が有効になっていません" "停電の後、サービスが自動で起動しません"
           "watari doctor --fix または systemctl enable {unit} を実行してください";
    /// It is out of service, on purpose or not.
    HostTargetOff { host, unit } "host.target-off" Warning
        en "{unit} of this host ({host}) is not enabled, and nothing of it runs" "what it is for is not done here, and it does not come back by itself"
           "unless that is meant so: systemctl enable --now {unit}"
        ja "このホスト ({host}) の {unit} は有効になっておらず、そのサービスも動いていません" "このホストでは役割が果たされず、再起動しても自動では始まりません"
           "意図した停止でなければ systemctl enable --now {unit} を実行してください";
    /// Its clock goes as it likes.
    HostClockFree { host } "host.clock-free" Warning
        en "nobody sets the clock of this host ({host})" "it goes wrong by and by, until certificates are taken for expired or not yet valid"
           "watari doctor --fix, or: timedatectl set-ntp true"
        ja "このホスト ({host}) の時計が自動で合わせられていません" "次第にずれ、やがて証明書が期限切れや有効期間前と判定されます"
           "watari doctor --fix または timedatectl set-ntp true を実行してください";
    /// It is no secret.
    HostKeyOpen { host, path } "host.key-open" Warning
        en "everybody who logs in to this host ({host}) can read {path}" "whoever has that key is taken for its owner"
           "watari doctor --fix, or: chmod o-rwx {path}; if others have logged in, make another key"
        ja "このホスト ({host}) の {path} を、ログインした人ならだれでも読めます" "この鍵を持つ者は、本来の持ち主として扱われます"
           "watari doctor --fix または chmod o-rwx {path} を実行してください。ほかの人がログインしたことがあれば、鍵を作り直してください";
    /// It opens nothing.
    HostKeyRefused { host, path } "host.key-refused" Failure
        en "NATS does not know the key {path} of this host ({host})" "what uses it is not let in, so that what it is for is not done here"
           "on the first front end: systemctl restart watari-enrol, which tells NATS of all keys; if it is refused still, bring this host its files again from hosts/{host} of the cluster's folder, or have it join again with a token"
        ja "NATS がこのホスト ({host}) の鍵 {path} を受け付けません" "この鍵を使うプログラムが接続できず、その処理が行われません"
           "最初のフロントエンドで systemctl restart watari-enrol を実行してください。それでも受け付けられない場合は、クラスタのフォルダの hosts/{host} にあるファイルをこのホストに置き直すか、トークンでもう一度参加させてください";
    /// NATS lets it do what another version's did.
    HostPermissionsOld { host, keys } "host.permissions-old" Warning
        en "the NATS server of this host ({host}) gives other permissions than this version needs to: {keys}" "what has come since it was set up may be refused"
           "on the first front end: systemctl restart watari-enrol, which brings all NATS servers what this version needs; where the cluster's folder is elsewhere, run watari setup of this version and copy hosts/{host} to this host"
        ja "このホスト ({host}) の NATS サーバで次の鍵の権限が、この版で必要なものと異なります: {keys}" "設定した後に加わった機能が拒否されることがあります"
           "最初のフロントエンドで systemctl restart watari-enrol を実行すると、すべての NATS サーバに新しい権限が伝わります。クラスタのフォルダが別の場所にあれば、この版の watari setup を実行し、hosts/{host} をこのホストにコピーしてください";
    /// Its certificate has ended.
    HostCertificateExpired { host, path, end } "host.certificate-expired" Failure
        en "{path} of this host ({host}) ended at {end}" "whoever it is shown to refuses it: NATS and images are not reached here, or not from here"
           "journalctl -u watari-enrol -n 50 says why it was not renewed; where watari setup made it, run that again, copy hosts/{host} to this host, then: systemctl restart watari-front.target"
        ja "このホスト ({host}) の {path} は {end} に期限が切れました" "相手に拒否され、このホストとの間で NATS やイメージを使えません"
           "更新されなかった理由は journalctl -u watari-enrol -n 50 で確認できます。watari setup で作成した場合は、もう一度実行して hosts/{host} をこのホストにコピーし、systemctl restart watari-front.target を実行してください";
    /// It ends soon, though it should have been renewed.
    HostCertificateExpiring { host, path, days, end } "host.certificate-expiring" Warning
        en "{path} of this host ({host}) ends on {end} (days left: {days})" "on that day NATS and images stop being reached here"
           "journalctl -u watari-enrol -n 50 says why it is not renewed; where watari setup made it, run that again, copy hosts/{host} to this host, then: systemctl restart watari-front.target"
        ja "このホスト ({host}) の {path} はあと {days} 日で期限が切れます ({end})" "その日から、このホストとの間で NATS やイメージを使えなくなります"
           "更新されない理由は journalctl -u watari-enrol -n 50 で確認できます。watari setup で作成した場合は、もう一度実行して hosts/{host} をこのホストにコピーし、systemctl restart watari-front.target を実行してください";
    /// Hardly any room.
    HostDiskFilling { host, folder, free } "host.disk-filling" Warning
        en "of the disk with {folder} on this host ({host}) {free} % are free" "once it is full, NATS or the image service writes nothing there any more; where no majority is left, nothing can be changed"
           "df -h {folder}, then remove what is not needed: watari image list, old backups, journalctl --vacuum-size=500M"
        ja "このホスト ({host}) の {folder} があるディスクの空きは {free} % です" "いっぱいになると NATS やイメージのサービスが書き込めなくなります。NATS の過半数が失われると、何も変更できません"
           "df -h {folder} で確認し、watari image list で不要なイメージを、また古いバックアップを削除するか、journalctl --vacuum-size=500M を実行してください";
    /// Nobody makes any more, or no longer there.
    HostBackupOld { host, folder, since } "host.backup-old" Warning
        en "the newest backup in {folder} of this host ({host}): {since}" "what was written later is lost with the disks of the front ends"
           "watari backup create {folder}/watari-NOW.tar.zst; then find out why what makes one each day does not"
        ja "このホスト ({host}) の {folder} にある最新のバックアップ: {since}" "それ以降に書かれた内容は、フロントエンドのディスクとともに失われます"
           "watari backup create {folder}/watari-日付.tar.zst を実行し、毎日のバックアップが作られない理由を調べてください";
    /// Nobody has said where they are.
    HostBackupUnnamed { host } "host.backup-unnamed" Note
        en "nothing on this front end ({host}) says where backups lie" "that none is made any more would be noticed on the day when one is needed"
           "unless the other front end makes them: watari backup create each day, and its folder as folder under [backups] in /etc/watari/monitor.toml; then: systemctl restart watari-monitor"
        ja "このフロントエンド ({host}) には、バックアップの置き場所が設定されていません" "バックアップが作られなくなっても、必要になる日まで気付けません"
           "もう一方のフロントエンドで作っている場合を除き、watari backup create を毎日実行するようにして、そのフォルダを /etc/watari/monitor.toml の [backups] に folder として書き、systemctl restart watari-monitor を実行してください";
    /// Its name leads nowhere.
    HostUnnamed { host } "host.unnamed" Warning
        en "this host cannot resolve its own name, {host}" "libvirt takes a node without a name for itself, and moves no server"
           "add the name with the host's own address to /etc/hosts, then: getent hosts {host}"
        ja "このホストは自分の名前 {host} を解決できません" "libvirt が移行先と自分を区別できず、サーバを移行できません"
           "/etc/hosts に名前とこのホストのアドレスを加え、getent hosts {host} で確認してください";
    /// Others' rules drop what servers send.
    HostForwardDrops { host, chain } "host.forward-drops" Warning
        en "the chain {chain} of this host's packet filter ({host}) drops what is forwarded unless a rule lets it through"
           "servers of overlay networks do not get out; where frames of bridges pass it too, as Docker has it, no server is reached"
           "look at it: nft list chain {chain}; if Docker or ufw made it, take that off this node; else let servers through in the settings of what made it, as by nft insert rule {chain} iifname 'wb*' accept and the same with oifname for overlay networks, and by the name of the campus bridge where frames of bridges pass it"
        ja "このホスト ({host}) のパケットフィルタのチェイン {chain} は、許可のない転送を破棄します"
           "オーバーレイネットワークのサーバが外と通信できません。Docker のようにブリッジの通信も通す設定では、どのサーバにも届きません"
           "nft list chain {chain} で確認してください。Docker や ufw が作成したものなら、このノードから取り除きます。必要なファイアウォールなら、その設定でサーバの通信を許可してください。オーバーレイネットワークでは nft insert rule {chain} iifname 'wb*' accept と、oifname についても同じ規則です。ブリッジの通信も通す設定では、キャンパスのブリッジの名前でも許可します";
    /// A profile knows nothing of us.
    HostConfined { host, program } "host.apparmor" Warning
        en "AppArmor confines {program} on this host ({host})" "the agent's files are none that it may read, so that servers get no address or no disk"
           "aa-complain {program}, or allow /run/watari/** and /var/lib/watari/** in /etc/apparmor.d/local"
        ja "このホスト ({host}) の {program} は AppArmor に制限されています" "エージェントのファイルを読めず、サーバのアドレスやディスクを用意できません"
           "aa-complain {program} を実行するか、/etc/apparmor.d/local で /run/watari/** と /var/lib/watari/** を許可してください";
    // --- ways between nodes ----------------------------------------------------------------
    /// A name that leads nowhere.
    PathUnnamed { host, node, address } "path.unnamed" Failure
        en "{host} cannot resolve {address}, where node {node} takes servers" "no server moves from here to there"
           "add {address} to the DNS or to /etc/hosts of {host}, or set migration_address in node-agent.toml of {node} to an address"
        ja "{host} は、ノード {node} がサーバを受け入れる {address} を名前解決できません" "ここからそのノードへサーバを移行できません"
           "{address} を DNS か {host} の /etc/hosts に加えるか、{node} の node-agent.toml の migration_address をアドレスにしてください";
    /// Nobody answers there.
    PathClosed { host, node, ports } "path.closed" Failure
        en "from {host} these TCP ports of node {node} are not reached: {ports}" "no server moves from here to there"
           "on {node}: systemctl status libvirtd libvirtd-tls.socket; let TCP 16514 and 49152 to 49215 through its firewall, and those between"
        ja "{host} からノード {node} の TCP ポート {ports} に届きません" "ここからそのノードへサーバを移行できません"
           "{node} で systemctl status libvirtd libvirtd-tls.socket を確認し、途中とそのノードのファイアウォールで TCP 16514 と 49152 から 49215 を許可してください";
    /// It swallows large packets.
    PathNarrow { host, node, size } "path.narrow" Warning
        en "packets of {size} bytes do not get from {host} to node {node}, and small ones do"
           "migrations and overlay networks between them stand still without a word"
           "raise the MTU of the switches between them to {size}, or lower it on both nodes: ip link set INTERFACE mtu SIZE"
        ja "{host} からノード {node} へ、小さいパケットは届きますが、{size} バイトのパケットが届きません"
           "両ノード間の移行とオーバーレイネットワークの通信が、エラーも出さずに止まります"
           "途中のスイッチの MTU を {size} に上げるか、両ノードで ip link set インターフェース mtu 値 を実行して下げてください";
    /// It is far.
    PathSlow { host, node, rtt } "path.slow" Note
        en "a packet from {host} to node {node} and back takes {rtt}" "whenever a server is moved, it stands still for several times as long"
           "ping {node}; look for what is congested between, or for a detour"
        ja "{host} とノード {node} の間のパケットの往復に {rtt} かかります" "サーバの移行のたびに、その数倍の時間、サーバが止まります"
           "ping {node} を実行し、途中の混雑や遠回りを調べてください";
    /// Another one answers.
    DhcpStranger { host, bridge, servers } "network.dhcp-stranger" Note
        en "on bridge {bridge} of {host} another DHCP server answers: {servers}"
           "servers do not hear it while their node guards them, but it may hand out addresses that a network's range has too"
           "keep its pool apart from the ranges in: watari network list; if nobody knows it, find it by its address and switch it off"
        ja "{host} のブリッジ {bridge} で、ほかの DHCP サーバが応答しています: {servers}"
           "ノードが保護している間、サーバには届きませんが、ネットワークの範囲と同じアドレスを配ることがあります"
           "その配布範囲を watari network list の範囲と重ならないようにしてください。心当たりがなければ、アドレスから探して止めてください";
    // --- nodes -----------------------------------------------------------------------------
    /// Nobody hears a node.
    NodeLost { node, silent } "node.lost" Failure
        en "node {node} has not been heard for {silent}"
           "its servers cannot be steered, and none is started elsewhere while it may still run there"
           "check its power and network, then on it: systemctl restart watari-agent; if it is off and stays so: watari node confirm-off {node}"
        ja "ノード {node} から {silent}間、連絡がありません"
           "そこにあるサーバを操作できません。まだ動いている可能性があるため、ほかの場所でも起動しません"
           "電源とネットワークを確認し、そのノードで systemctl restart watari-agent を実行してください。電源が切れたままなら watari node confirm-off {node} を実行してください";
    /// Its agent speaks, and says that libvirt does not.
    HypervisorSilent { node } "node.hypervisor" Failure
        en "the hypervisor of node {node} (libvirtd) does not answer its agent"
           "its servers run on, but none of them is started, stopped or moved, and it receives none"
           "on the node: systemctl status libvirtd, then: systemctl restart libvirtd"
        ja "ノード {node} のハイパーバイザ (libvirtd) がエージェントに応答しません"
           "動作中のサーバは動き続けますが、起動、停止、移行ができず、新しいサーバも受け入れません"
           "そのノードで systemctl status libvirtd を確認し、systemctl restart libvirtd を実行してください";
    /// It is known to be off.
    NodeOff { node, by, at } "node.off" Warning
        en "node {node} is off, says {by} since {at}"
           "servers whose disk is only there wait for it, and others have less room"
           "switch it on: watari node power {node} --on; if it will not come back: watari node remove {node}"
        ja "ノード {node} の電源は切れています ({by} が {at} に確認)"
           "ディスクがそこにしかないサーバは待機しており、ほかの余裕も減っています"
           "watari node power {node} --on で電源を入れてください。戻らない場合は watari node remove {node} を実行してください";
    /// It is lost, and may be running.
    NotFenced { node, cause } "node.not-fenced" Warning
        en "node {node} is lost and not cut off its power: {cause}"
           "what waits for it goes on only once it is known to be off"
           "watari node power {node} --status; if it is off: watari node confirm-off {node}"
        ja "応答のないノード {node} の電源が切られていません: {cause}"
           "電源が切れていると確認できるまで、待っている処理は進みません"
           "watari node power {node} --status で確認し、切れていれば watari node confirm-off {node} を実行してください";
    /// Nobody could cut off a node there.
    NoFencing { site } "site.no-fencing" Note
        en "no power controller is configured for the nodes of {site}"
           "when one of them is lost, a person must look whether it is off before anything goes on"
           "add [[fencing]] to monitor.toml on every front end, then: watari node power NODE --status"
        ja "{site} のノードの電源制御が設定されていません" "ノードが応答しなくなったとき、電源が切れていることを人が確認するまで処理が進みません"
           "全フロントエンドの monitor.toml に [[fencing]] を加え、watari node power ノード --status で確認してください";
    /// Beats are missing, or the hypervisor does not answer.
    NodeSuspect { node, silent } "node.suspect" Warning
        en "node {node} is suspect: its hypervisor does not answer, or its agent is silent (for {silent})" "it receives no server until it is ready"
           "on the node: systemctl status libvirtd watari-agent"
        ja "ノード {node} は「応答遅延」の状態です。ハイパーバイザの応答がないか、エージェントから {silent}間、連絡がありません" "正常に戻るまで新しいサーバを受け入れません"
           "そのノードで systemctl status libvirtd watari-agent を実行し、原因を確認してください";
    /// An operator keeps servers away.
    NodeCordoned { node } "node.cordoned" Note
        en "node {node} is cordoned" "it receives no server, also not in an evacuation" "watari node uncordon {node}"
        ja "ノード {node} は受入停止中です" "退避のときにもサーバを受け入れません" "再開するには watari node uncordon {node} を実行してください";
    /// It emulates.
    NodesEmulate { nodes } "node.emulated" Note
        en "guests are emulated on: {nodes}" "they run many times slower than with the processor's help"
           "switch virtualisation on in the firmware, look for /dev/kvm, then: systemctl restart watari-agent"
        ja "仮想マシンをソフトウェアで実行しているノード: {nodes}" "ハードウェアによる仮想化より大幅に遅くなります"
           "ファームウェアで仮想化を有効にし、/dev/kvm を確認してから systemctl restart watari-agent を実行してください";
    /// Nothing is known of its host.
    NodesUnexamined { nodes } "node.unexamined" Note
        en "these nodes' agents do not say how their hosts are: {nodes}" "faults of those hosts are not seen here"
           "upgrade the package watari-node on them"
        ja "ホストの状態を報告しないノード: {nodes}" "これらのホストの異常は診断できません"
           "パッケージ watari-node を更新してください";
    /// Its clock is wrong.
    ClockSkew { node, by } "node.clock" Warning
        en "the clock of node {node} differs by {by} from the front end's" "records do not fit together, and certificates may be taken for expired or not yet valid"
           "on the node: timedatectl set-ntp true"
        ja "ノード {node} の時計はフロントエンドと {by} ずれています" "記録の前後関係が合わなくなり、証明書が期限切れや有効期間前と判定されるおそれがあります"
           "そのノードで timedatectl set-ntp true を実行してください";
    /// Guests may spoof.
    NotGuarded { node, reason } "node.not-guarded" Warning
        en "node {node} does not hold guests to their own addresses: {reason}"
           "a guest there can take another's address, and unless networks.guard is false there, no server is placed on it" "on the node: apt-get install --reinstall nftables linux-image-$(uname -r); delete guard = false, if it stands under [networks] in /etc/watari/node-agent.toml; then systemctl restart watari-agent"
        ja "ノード {node} はゲストのなりすましを防止できません: {reason}"
           "そこにあるサーバがほかのサーバのアドレスを使えてしまいます。networks.guard が false でない限り、サーバは配置されません" "そのノードで apt-get install --reinstall nftables linux-image-$(uname -r) を実行し、/etc/watari/node-agent.toml の [networks] に guard = false があれば消してから、systemctl restart watari-agent を実行してください";
    /// Firewall groups do not work there.
    NoFirewall { node, reason } "node.no-firewall" Note
        en "node {node} cannot enforce firewall groups: {reason}"
           "servers with firewall groups are not placed on it" "on the node: apt-get install --reinstall nftables linux-image-$(uname -r); delete guard = false, if it stands under [networks] in /etc/watari/node-agent.toml; then systemctl restart watari-agent"
        ja "ノード {node} はファイアウォールグループを適用できません: {reason}"
           "ファイアウォールグループを使うサーバは配置されません" "そのノードで apt-get install --reinstall nftables linux-image-$(uname -r) を実行し、/etc/watari/node-agent.toml の [networks] に guard = false があれば消してから、systemctl restart watari-agent を実行してください";
    /// A program is not there.
    ProgramMissing { node, programs } "node.program-missing" Failure
        en "node {node} lacks: {programs}" "servers there get no disk, no address or no protection"
           "on the node: apt-get install --reinstall watari-node dnsmasq-base nftables qemu-utils qemu-system-x86"
        ja "ノード {node} に必要なプログラムがありません: {programs}" "サーバのディスク、アドレス、保護を用意できません"
           "そのノードで apt-get install --reinstall watari-node dnsmasq-base nftables qemu-utils qemu-system-x86 を実行してください";
    /// Images boot by what it has not.
    NoUefi { nodes, images } "node.no-uefi" Warning
        en "these nodes have no UEFI firmware: {nodes}" "servers of these images, which boot by UEFI, are not placed there and cannot move there: {images}"
           "on the nodes: apt-get install ovmf"
        ja "UEFI ファームウェアのないノード: {nodes}" "UEFI で起動する次のイメージのサーバは、そこに配置も移行もできません: {images}"
           "そのノードで apt-get install ovmf を実行してください";
    // --- fleet -----------------------------------------------------------------------------
    /// Programs' versions differ.
    VersionsDiffer { program, versions } "node.versions-differ" Warning
        en "versions of {program} differ: {versions}" "a server that was started under a newer version may not move to an older one"
           "upgrade the nodes with the older version, one after another, each after: watari node drain NODE --wait"
        ja "{program} の版がそろっていません: {versions}"
           "新しい版で起動したサーバを古い版のノードへ移行できないことがあります"
           "古い版のノードを watari node drain ノード --wait で空にしてから、1 台ずつ更新してください";
    /// Its processor is like none elsewhere.
    ProcessorAlone { node, model } "node.processor" Warning
        en "servers of node {node} ({model}) fit no processor of another site"
           "they cannot leave alive when the site goes dark"
           "set [cpu] model in node-agent.toml of every node to one that all have (virsh cpu-baseline), then restart its servers"
        ja "ノード {node} ({model}) のサーバを受け入れられる CPU がほかのサイトにありません"
           "停電のときに動かしたまま退避できません"
           "全ノードの node-agent.toml の [cpu] model を共通のもの (virsh cpu-baseline) にし、サーバを再起動してください";
    // --- bridges and tunnels ---------------------------------------------------------------
    /// No such bridge.
    BridgeMissing { node, bridge, segment } "bridge.missing" Failure
        en "node {node} has no bridge {bridge} for segment {segment}" "no server of that segment runs there or moves there"
           "on the node: ip link add {bridge} type bridge && ip link set {bridge} up, lasting by the system's own network configuration"
        ja "ノード {node} にセグメント {segment} のブリッジ {bridge} がありません" "そのセグメントのサーバを起動も移行もできません"
           "そのノードで ip link add {bridge} type bridge && ip link set {bridge} up を実行し、OS のネットワーク設定にも加えてください";
    /// Something else has its name.
    BridgeIsNone { node, bridge, segment } "bridge.not-a-bridge" Failure
        en "{bridge} of node {node} (segment {segment}) is an interface and no bridge: nothing but the host itself is on it"
           "no server of that segment runs there or moves there, though the node itself may be reached"
           "in the system's own network configuration make {bridge} a bridge with the wire as its port and the host's address on the bridge, as the guide shows; or name the bridge that there is under [networks.segments] in node-agent.toml"
        ja "ノード {node} の {bridge} (セグメント {segment}) はブリッジではない、ただのインターフェースです"
           "ノード自身は通信できても、そのセグメントのサーバを起動も移行もできません"
           "OS のネットワーク設定で {bridge} をブリッジにし、物理インターフェースをそのポートに、ホストのアドレスをブリッジに設定してください (手引きに例があります)。別のブリッジがある場合は node-agent.toml の [networks.segments] にその名前を書いてください";
    /// The bridge is off.
    BridgeDown { node, bridge, segment } "bridge.down" Failure
        en "bridge {bridge} of node {node} (segment {segment}) is down" "no server of that segment is reached or runs there"
           "on the node: ip link set {bridge} up"
        ja "ノード {node} のブリッジ {bridge} (セグメント {segment}) が停止しています" "そのセグメントのサーバと通信できません"
           "そのノードで ip link set {bridge} up を実行してください";
    /// Nothing leads out.
    BridgeAlone { node, bridge, segment } "bridge.no-uplink" Warning
        en "bridge {bridge} of node {node} (segment {segment}) has no interface that leads out of the node, or none with a carrier"
           "servers on it reach only one another"
           "on the node: ip link show master {bridge}; plug the cable in, or: ip link set INTERFACE master {bridge}"
        ja "ノード {node} のブリッジ {bridge} (セグメント {segment}) に、外部につながるインターフェースがないか、リンクが切れています"
           "そのブリッジのサーバは互いにしか通信できません"
           "そのノードで ip link show master {bridge} を確認し、ケーブルを接続するか ip link set インターフェース master {bridge} を実行してください";
    /// A port has the host's address.
    AddressOnPort { node, bridge, port } "bridge.address-on-port" Warning
        en "interface {port} of node {node} is a port of {bridge} and has a route of its own"
           "answers to the host arrive at the bridge, so that the host is cut off by and by"
           "on the node: move the address with ip address del ADDRESS dev {port} && ip address add ADDRESS dev {bridge}"
        ja "ノード {node} の {port} はブリッジ {bridge} のポートですが、独自の経路を持っています"
           "ホストへの応答はブリッジに届くため、ホストの通信が途切れます"
           "そのノードで ip address del アドレス dev {port} && ip address add アドレス dev {bridge} を実行し、アドレスを移してください";
    /// Overlay packets do not fit.
    TunnelSmall { node, network, needed, found } "network.tunnel" Warning
        en "node {node} carries packets of {found} bytes, and overlay network {network} needs {needed}"
           "servers of that network are not placed on the node"
           "on the node: ip link set INTERFACE mtu {needed}, or set networks.tunnel_address in node-agent.toml"
        ja "ノード {node} が運べるパケットは {found} バイトですが、オーバーレイネットワーク {network} には {needed} バイトが必要です"
           "そのネットワークのサーバは配置されません"
           "そのノードで ip link set インターフェース mtu {needed} を実行するか、node-agent.toml の networks.tunnel_address を設定してください";
    /// A network's packets do not fit.
    BridgeSmall { node, bridge, network, needed, found } "bridge.mtu" Warning
        en "bridge {bridge} of node {node} carries packets of {found} bytes, and network {network} needs {needed}"
           "servers of that network are not placed on the node"
           "on the node, and in its network configuration: ip link set INTERFACE mtu {needed}, for the bridge's wire and then for {bridge}"
        ja "ノード {node} のブリッジ {bridge} が運べるパケットは {found} バイトですが、ネットワーク {network} には {needed} バイトが必要です"
           "そのネットワークのサーバは配置されません"
           "そのノードで、ブリッジの物理インターフェース、{bridge} の順に ip link set インターフェース mtu {needed} を実行し、ネットワーク設定にも反映してください";
    // --- disks -----------------------------------------------------------------------------
    /// No room.
    DiskFull { node, total } "disk.full" Failure
        en "node {node} has no room left for disks (of {total} GiB)"
           "nothing is placed on it, and guests whose disks grow stop" "watari node drain {node} --wait"
        ja "ノード {node} のディスクに空きがありません (全体 {total} GiB)"
           "サーバを置けず、ディスクが増えるゲストは停止します" "watari node drain {node} --wait でサーバを移してください";
    /// Little room.
    DiskFilling { node, free, total } "disk.filling" Warning
        en "node {node} has {free} of {total} GiB left for disks" "it will soon receive no server in an evacuation"
           "watari vm list, then move some: watari vm migrate NAME"
        ja "ノード {node} のディスクの空きは {total} GiB 中 {free} GiB です" "まもなく退避先として使えなくなります"
           "watari vm list で確認し、watari vm migrate サーバ で移してください";
    /// No inodes.
    FilesFilling { node } "disk.files" Warning
        en "the disk folder of node {node} has hardly any inodes left" "no new file can be made there, however much room there is"
           "on the node: df -i /var/lib/watari, then remove small files that are not Watari's"
        ja "ノード {node} のディスクフォルダの inode がほとんど残っていません" "空き容量があっても新しいファイルを作れません"
           "そのノードで df -i /var/lib/watari を確認し、Watari のもの以外の小さなファイルを削除してください";
    /// A slow disk.
    DiskSlow { node, took } "disk.slow" Warning
        en "the disk of node {node} takes {took} to make 4 KiB safe"
           "every order is written down first, and guests' databases and mail wait as long"
           "on the node: iostat -x 1, smartctl -a DEVICE"
        ja "ノード {node} のディスクは 4 KiB の確定に {took} かかっています"
           "すべての指示は先に記録されるため遅くなり、ゲストのデータベースやメールも同じだけ待たされます"
           "そのノードで iostat -x 1 と smartctl -a デバイス を確認してください";
    // --- certificates ----------------------------------------------------------------------
    /// It has ended.
    CertificateExpired { node, path, end } "certificate.expired" Failure
        en "{path} of node {node} ended at {end}" "what shows it is refused: no migration or no image comes through"
           "if it has joined with a token, see systemctl status watari-renew there; else watari setup --cluster cluster.toml --out DIR, then copy DIR/hosts/{node} to the node"
        ja "ノード {node} の {path} は {end} に期限が切れました" "相手に拒否され、移行やイメージの転送ができません"
           "トークンで参加したノードでは systemctl status watari-renew を確認してください。それ以外は watari setup --cluster cluster.toml --out フォルダ を実行し、hosts/{node} をノードへコピーしてください";
    /// It ends soon.
    CertificateExpiring { node, path, days, end } "certificate.expiring" Warning
        en "{path} of node {node} ends on {end} (days left: {days})" "migrations and images stop coming through on that day"
           "if it has joined with a token, see systemctl status watari-renew there; else watari setup --cluster cluster.toml --out DIR, then copy DIR/hosts/{node} to the node"
        ja "ノード {node} の {path} はあと {days} 日で期限が切れます ({end})" "その日から移行やイメージの転送ができなくなります"
           "トークンで参加したノードでは systemctl status watari-renew を確認してください。それ以外は watari setup --cluster cluster.toml --out フォルダ を実行し、hosts/{node} をノードへコピーしてください";
    /// It cannot be read.
    CertificateUnreadable { node, path } "certificate.unreadable" Warning
        en "{path} of node {node} is missing or holds no certificate" "libvirt, QEMU or the agent cannot show who it is"
           "if it has joined with a token, see systemctl status watari-renew there; else watari setup --cluster cluster.toml --out DIR, then copy DIR/hosts/{node} to the node"
        ja "ノード {node} の {path} がないか、証明書として読めません" "libvirt、QEMU、エージェントが身元を示せません"
           "トークンで参加したノードでは systemctl status watari-renew を確認してください。それ以外は watari setup --cluster cluster.toml --out フォルダ を実行し、hosts/{node} をノードへコピーしてください";
    /// It has not heard of the last who were expelled.
    RevocationListOld { host, path } "certificate.list-old" Warning
        en "{path} of {host} is missing, or older than the list of revoked certificates that another host has" "whoever was expelled since is still let in there"
           "a node fetches it within a quarter of an hour, or at once after: systemctl restart watari-renew.service there (a front end or witness: watari-enrol.service), whose journal says why it does not come; where files are brought by hand, bring hosts/{host} of the cluster's folder again and then, on a node: virt-admin server-update-tls libvirtd"
        ja "{host} の {path} がないか、ほかのホストにある失効の一覧より古いものです" "その後にクラスタから除かれたホストの証明書が、そこではまだ受け入れられます"
           "ノードは 15 分以内に取得します。すぐに取得させるには、そこで systemctl restart watari-renew.service を実行してください (フロントエンドと立会役では watari-enrol.service)。届かない理由はそのジャーナルで確認できます。ファイルを手で配る場合は、クラスタのフォルダの hosts/{host} を配り直し、ノードではその後 virt-admin server-update-tls libvirtd を実行してください";
    // --- sites and outages -----------------------------------------------------------------
    /// A whole campus is silent.
    SiteSilent { site, nodes, silent } "site.silent" Failure
        en "nothing is heard of site {site}: all of its nodes are silent for {silent} or longer ({nodes})"
           "its power may be gone, or only the link to it: then its servers run on, and nothing may be started twice"
           "ask at {site}: if it has power, mend the link, and all goes on by itself; only if it is dark, for each node: watari node confirm-off NODE"
        ja "サイト {site} のすべてのノード ({nodes}) から {silent} 以上、連絡がありません"
           "停電か、またはサイト間の回線の障害です。回線の障害ならサーバは動き続けており、二重に起動してはなりません"
           "{site} に確認してください。電源が入っていれば、回線の復旧後に自動で元に戻ります。停電の場合に限り、ノードごとに watari node confirm-off ノード を実行してください";
    /// A server does not run.
    ServerDown { vm, state, cause, remedy } "vm.down" Failure
        en "server {vm} is to run and is {state}: {cause}" "nobody is served by it" "{remedy}"
        ja "サーバ {vm} は稼働させる設定ですが、{state}です: {cause}" "このサーバを利用できません" "{remedy}";
    /// Several servers do not run, for one reason.
    ServersDown { count, servers, cause, remedy } "vm.several-down" Failure
        en "{count} servers are to run and do not, for one reason: {servers}" "nobody is served by them; of the first it is said: {cause}" "{remedy}"
        ja "稼働させる設定のサーバ {count} 台が、同じ理由で稼働していません: {servers}" "これらのサーバを利用できません。最初のサーバの理由: {cause}" "{remedy}";
    /// A server runs by its document, and its processors do not.
    ServerStandsStill { vm, cause, remedy } "vm.stands-still" Failure
        en "{cause}" "nobody is served by {vm}, and it does not leave its site in an evacuation" "{remedy}"
        ja "障害: {cause}" "サーバ {vm} を利用できません。退避の際に移行することもできません" "{remedy}";
    /// A server does not come to run, and nobody knows why.
    ServerHangs { vm, state, since } "vm.hangs" Warning
        en "server {vm} is to run and is {state} since {since}" "nobody is served by it, and no reason was told" "watari vm show {vm}, then: watari doctor --node NODE, of its node"
        ja "サーバ {vm} は稼働させる設定ですが、{since} から{state}のままです" "このサーバを利用できません。理由は報告されていません" "watari vm show {vm} でノードを調べ、watari doctor --node ノード を実行してください";
    /// Nowhere to go.
    NoRefuge { site, mend } "site.no-refuge" Warning
        en "no node of another site could receive the servers of {site}" "if its power goes, they go with it"
           "{mend}"
        ja "{site} のサーバを受け入れられるノードがほかのサイトにありません" "停電になるとサーバも停止します"
           "{mend}";
    /// On battery.
    OnBattery { site, since, mend } "site.on-battery" Warning
        en "site {site} is on battery since {since}" "it goes dark when the battery is empty" "{mend}"
        ja "サイト {site} は {since} からバッテリーで動いています" "バッテリーが尽きると停止します" "{mend}";
    /// A UPS does not answer.
    UpsSilent { site, ups } "ups.silent" Warning
        en "UPS {ups} of site {site} does not answer" "a loss of power there would not be noticed by it"
           "on the UPS's host: systemctl restart nut-server nut-driver-enumerator; or correct [[ups]] in monitor.toml"
        ja "サイト {site} の UPS {ups} が応答しません" "停電になっても検知できません"
           "UPS を接続したホストで systemctl restart nut-server nut-driver-enumerator を実行するか、monitor.toml の [[ups]] を直してください";
    /// A server that could not leave.
    CannotLeave { vm, site, cause, remedy } "vm.cannot-leave" Warning
        en "if {site} were evacuated now, server {vm} would stay: {cause}" "if the power goes, it goes with it" "{remedy}"
        ja "いま {site} を退避させても、サーバ {vm} は移動できません: {cause}" "停電になると停止します" "{remedy}";
    /// The link carries little.
    LinkSlow { site, rate } "site.link-slow" Note
        en "moves out of {site} carry {rate} a second, as the last ones between sites were measured" "an evacuation takes long, and servers that write faster are slowed down meanwhile"
           "watari outage rehearse --site {site} says how long it takes; look for a port that fell back to 100 Mbit/s, and for what else uses the link (iperf3 between two nodes)"
        ja "{site} からの移行は毎秒 {rate} です (サイト間の直近の移行の実測)" "退避に時間がかかり、それより速く書き込むサーバは移行中に遅くなります"
           "所要時間は watari outage rehearse --site {site} で確認できます。100 Mbit/s に落ちたポートや、回線を使っているほかの通信がないか調べてください (2 台のノード間で iperf3)";
    /// A policy.
    StaysByPolicy { vm, site } "vm.stays" Note
        en "server {vm} stays in {site} by its own policy" "if the power goes, it goes with it" "watari outage plan {site}"
        ja "サーバ {vm} は方針により {site} に残ります" "停電になると停止します" "watari outage plan {site} で確認できます";
    /// A scheduled outage does not go well.
    AtRisk { outage, servers } "outage.at-risk" Warning
        en "in the scheduled outage {outage} these servers would be lost with the power: {servers}"
           "they cannot leave as it looks now" "watari outage show {outage}"
        ja "予定された停電 {outage} では、次のサーバが停止する見込みです: {servers}"
           "現状では退避できません" "watari outage show {outage} で理由を確認できます";
    /// Paused.
    OutagePaused { outage, since } "outage.paused" Warning
        en "outage {outage} is paused since {since}" "nothing more of it begins" "watari outage resume {outage}"
        ja "停電計画 {outage} は {since} から一時停止中です" "続きが始まりません" "watari outage resume {outage} で再開してください";
    /// Long over, it seems.
    OutageForgotten { outage, place, since, mend } "outage.forgotten" Warning
        en "{place} is kept empty by outage {outage} since {since}" "it receives no server, so that others have less room" "{mend}"
        ja "{place} は停電計画 {outage} により {since} から空のままです" "サーバを受け入れないため、ほかの余裕が減っています" "{mend} を実行すると元に戻ります";
    // --- images and networks ---------------------------------------------------------------
    /// It failed.
    ImageFailed { image, cause } "image.failed" Warning
        en "image {image} has failed: {cause}" "no server can be made from it" "watari image delete {image}, then import it again"
        ja "イメージ {image} の取り込みに失敗しています: {cause}" "サーバを作成できません" "watari image delete {image} で削除し、もう一度取り込んでください";
    /// One copy.
    ImageNotEverywhere { image, sites } "image.one-copy" Warning
        en "image {image} has no copy at: {sites}" "its servers cannot move there once its only copy is dark, and it is lost with that disk"
           "watari frontend status: the front end there must be on and reached; the copy is then made by itself"
        ja "イメージ {image} の複製がないサイト: {sites}" "複製のあるサイトが停電するとサーバを移行できず、ディスクの故障で失われます"
           "watari frontend status でそのサイトのフロントエンドを確認してください。届くようになれば自動で複製されます";
    /// What images are kept in does not do its part.
    ObjectStoreAway { store, site, cause } "image.store-away" Failure
        en "the object store {store} does not serve the front end at {site}: {cause}"
           "imports and saves there wait unless the store stands at the other campus, and an image that is in the store alone cannot be had"
           "check that the store runs, that the front end reaches it, and what its key may do ([image.store] in image.toml); it is looked at again by itself"
        ja "オブジェクトストア {store} を {site} のフロントエンドから利用できません: {cause}"
           "ストアがもう一方のキャンパスにある場合を除いて取り込みと保存が待たされ、ストアにしかないイメージは使えません"
           "ストアの稼働、フロントエンドからの到達、鍵の権限 (image.toml の [image.store]) を確認してください。確認は自動で繰り返されます";
    /// Few addresses.
    NetworkFilling { network, used, free } "network.nearly-full" Warning
        en "network {network} is nearly full (addresses left: {free}, in use: {used})" "soon no server can be made on it"
           "watari port list --network {network}, then delete what is not needed: watari vm delete NAME"
        ja "ネットワーク {network} の空きアドレスは {free} 個です (使用中 {used} 個)" "まもなくサーバを作成できなくなります"
           "watari port list --network {network} で確認し、不要なものを watari vm delete サーバ で削除してください";
    // --- front ends ------------------------------------------------------------------------
    /// Nobody leads.
    NoLeader { service } "service.no-leader" Failure
        en "nobody leads the service {service}" "what is asked of it is not answered"
           "on a front end: systemctl status watari-{service}"
        ja "サービス {service} の主系がいません" "リクエストに応答できません"
           "フロントエンドで systemctl status watari-{service} を確認してください";
    /// Nobody stands by.
    NoStandby { service } "service.no-standby" Warning
        en "nobody stands by for the service {service}" "when the front end that leads goes dark, nobody takes over"
           "on the other front end: systemctl start watari-{service}"
        ja "サービス {service} の待機系がいません" "主系のフロントエンドが停止すると引き継げません"
           "もう一方のフロントエンドで systemctl start watari-{service} を実行してください";
    /// It is behind.
    StandbyLags { service, instance, lag } "service.standby-lags" Warning
        en "{instance}, which stands by for the service {service}, is {lag} writes behind" "it would take over later"
           "check the network between the front ends: watari frontend status"
        ja "サービス {service} の待機系 {instance} は {lag} 件の書き込みを反映していません" "引き継ぎに時間がかかります"
           "watari frontend status で確認し、フロントエンド間のネットワークを調べてください";
    /// Versions differ.
    ServiceVersionsDiffer { service, versions } "service.versions-differ" Warning
        en "the service {service} runs in different versions: {versions}" "what the newer one writes the older one may not understand"
           "upgrade the package watari-front on the front end with the older version"
        ja "サービス {service} の版がそろっていません: {versions}" "新しい版が書いた内容を古い版が理解できないことがあります"
           "古い版のフロントエンドでパッケージ watari-front を更新してください";
    /// No majority.
    NoMajority { votes, needed } "quorum.lost" Failure
        en "NATS has no majority: {votes} of its servers vote, and {needed} must" "nothing can be written, so that nothing is started or moved"
           "switch a front end or the witness on, then there: systemctl start watari-nats. If one of two is lost for good, on the other: watari frontend recover HOST"
        ja "NATS の過半数が失われています。投票できるサーバは {votes} 台で、{needed} 台が必要です" "書き込みができず、サーバの起動も移行もできません"
           "フロントエンドか立会役の電源を入れ、そこで systemctl start watari-nats を実行してください。2 台の一方が永久に失われた場合は、残った側で watari frontend recover ホスト を実行してください";
    /// One is away.
    ServerAway { host } "quorum.server-away" Warning
        en "the NATS server of {host} is away, has no vote or is not up to date" "if another one is lost, nothing can be written"
           "switch {host} on, then there: systemctl restart watari-nats"
        ja "{host} の NATS サーバが停止しているか、投票権がないか、最新ではありません" "もう 1 台失われると書き込みができなくなります"
           "{host} の電源を入れ、そこで systemctl restart watari-nats を実行してください";
    /// Fewer copies than servers.
    FewCopies { buckets, copies } "quorum.few-copies" Warning
        en "only {copies} current copies are there of: {buckets}" "they are lost, or cannot be written, if one more server is lost"
           "watari frontend status: servers that are away or catching up; the copies are then made by themselves"
        ja "最新の複製が {copies} 個しかないもの: {buckets}" "もう 1 台のサーバが失われると、失われるか書き込めなくなります"
           "watari frontend status で停止中や追従中のサーバを確認してください。戻れば自動で複製されます";
}

impl Trouble {
    /// What is wrong with a bridge that stands so; none of one that leads where it should.
    #[must_use]
    pub fn of_link(link: Link, node: Said, bridge: Said, segment: Said) -> Option<Self> {
        match link {
            Link::Missing => Some(Self::BridgeMissing { node, bridge, segment }),
            Link::NotABridge => Some(Self::BridgeIsNone { node, bridge, segment }),
            Link::Down => Some(Self::BridgeDown { node, bridge, segment }),
            Link::NoUplink | Link::UplinkDown => Some(Self::BridgeAlone { node, bridge, segment }),
            Link::Up => None,
        }
    }
}

#[cfg(test)]
mod tests;
