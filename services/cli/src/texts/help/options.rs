//! What options, arguments and their values mean.

use super::Text;

pub(super) const TEXTS: &[Text] = &[
    // --- what all commands have ------------------------------------------------------------
    ("Global options", "共通オプション"),
    ("Print help (see more with '--help')", "説明を表示します (詳しくは --help)"),
    ("Print help (see a summary with '-h')", "説明を表示します (要約は -h)"),
    ("Print version", "版を表示します"),
    ("How results are shown", "結果の表示形式"),
    ("For people", "人が読む表"),
    ("For people with a wide window: lists have more columns", "広い画面用。一覧の列が増えます"),
    ("For programs; the field names are stable", "プログラム用。項目名は変わりません"),
    ("What json gives, as YAML", "json と同じ内容を YAML で表示します"),
    ("For shells: names alone, one a line", "シェル用。名前だけを 1 行に 1 つ表示します"),
    (
        "Language of messages and help; without it LC_ALL, LC_MESSAGES and LANG decide",
        "メッセージと説明の言語。省略時は LC_ALL、LC_MESSAGES、LANG で決まります",
    ),
    ("Japanese", "日本語"),
    ("English", "英語"),
    (
        "NATS servers, commas between them; without it WATARI_NATS [default: nats://127.0.0.1:4222]",
        "NATS サーバ (コンマ区切り)。省略時は WATARI_NATS [既定値: nats://127.0.0.1:4222]",
    ),
    ("File with the seed of your nkey; without it WATARI_NKEY", "自分の nkey のシードのファイル。省略時は WATARI_NKEY"),
    (
        "File with the certificates of the cluster's authority; without it WATARI_CA",
        "クラスタの認証局の証明書ファイル。省略時は WATARI_CA",
    ),
    (
        "How long to try for an answer, as when another front end takes over",
        "応答を待って再試行する時間。フロントエンドの交代中などに使われます",
    ),
    (
        "Name this request, so that it may be repeated without being done twice (drawn if left out)",
        "このリクエストに付ける名前。同じ名前なら繰り返しても二重に実行されません (省略時は自動生成)",
    ),
    ("Wait until it is done, and show how far it is", "完了まで待ち、進み具合を表示します"),
    (
        "Do not wait, which is the usual; takes back a --wait that was typed before it, as by an alias",
        "待たずに終了します (既定の動作)。エイリアスなどで先に指定された --wait を取り消します",
    ),
    (
        "Stop waiting after this time; what was begun goes on [default: as long as it takes]",
        "待つ時間の上限。過ぎても始めた処理は続きます [既定値: 完了まで]",
    ),
    (
        "Do not ask; without it nothing is done where nobody can be asked, as in a script",
        "確認せずに実行します。スクリプトなど確認できない場所では、これがないと実行しません",
    ),
    // --- servers ---------------------------------------------------------------------------
    ("Take back what was asked for and is not done yet", "まだ終わっていない事前転送を取りやめます"),
    ("The server", "サーバ"),
    ("The server's name", "サーバの名前"),
    ("The snapshot's name", "スナップショットの名前"),
    ("The image under its disk", "ディスクのもとになるイメージ"),
    (
        "A kept disk to begin with, on the node where it is, in place of a new one from an image (see `watari disk`)",
        "イメージから新しく作る代わりに使う、残したディスク。サーバはそのノードに置かれます (`watari disk` を参照)",
    ),
    (
        "Keep its disk on its node, for another server to begin with (see `watari disk`); it is shut down first",
        "ほかのサーバに使えるよう、ディスクをノードに残します (`watari disk` を参照)。稼働中なら先にシャットダウンします",
    ),
    ("The kept disk", "残したディスク"),
    (
        "A network to be on, with a fixed address if wanted; may be given several times",
        "接続するネットワーク。固定アドレスも指定できます (複数指定可)",
    ),
    ("The site where it belongs; without it the scheduler chooses", "所属するサイト。省略時はスケジューラが選びます"),
    ("Virtual CPUs", "仮想 CPU 数"),
    ("Memory", "メモリ"),
    (
        "Disk [default: 2GiB, or as large as the kept disk]",
        "ディスク [既定値: 2GiB、残したディスクを使う場合はその大きさ]",
    ),
    ("Disk; it never becomes smaller", "ディスク。小さくはできません"),
    ("A label that its node must carry; may be given several times", "ノードに必要なラベル (複数指定可)"),
    (
        "A group whose members are kept together or apart; may be given several times",
        "同じノード (together) または別のノード (apart) に置くグループ (複数指定可)",
    ),
    (
        "A firewall group that guards it; may be given several times. Without one it is open",
        "適用するファイアウォールグループ (複数指定可)。省略時は制限なし",
    ),
    ("What it does when its site is evacuated", "サイトの退避時の動作"),
    ("Live, without stopping", "停止せずに移動"),
    ("It stays, and goes off with its site", "残り、サイトとともに停止"),
    (
        "Servers with a higher number leave and are started first, 0 to 100",
        "数の大きいサーバから先に退避し、先に起動します。0 から 100",
    ),
    (
        "Whether it is started again when it went off by itself, or with its node",
        "サーバが自分で、またはノードとともに停止したとき、再び起動するかどうか",
    ),
    ("As soon as its node can", "ノードが使えるようになり次第、起動"),
    ("It stays off until somebody starts it", "利用者が起動するまで停止のまま"),
    ("What it does when its node is cut off from everybody", "ノードがどことも通信できなくなったときの動作"),
    (
        "What it does when its node is cut off from everybody; it holds from its next start, reboot or move on",
        "ノードがどことも通信できなくなったときの動作。次の起動、再起動、移動から有効になります",
    ),
    ("It runs on", "動かし続ける"),
    (
        "If its node is lost it is started from the copy of its disk elsewhere (see `watari vm preseed`), if no more is lost by that than what was written in so many seconds; 0 for never",
        "ノードが失われたとき、ほかのノードにあるディスクの複製 (`watari vm preseed` を参照) から起動する条件。失われる書き込みがこの秒数以内なら起動します。0 なら起動しません",
    ),
    (
        "For so many seconds it may stand still at the end of a live move, up to 60, if it writes to its memory so fast that the move would not end otherwise; 0 for never, which slows it down instead",
        "メモリへの書き込みが速く、そのままでは移動が終わらないとき、最後に停止してよい秒数。60 まで。0 なら停止させず、代わりに動作を遅くします",
    ),
    (
        "Its node stops it, also when it is the front ends that are away",
        "ノードが停止する。フロントエンド側の障害で通信できない場合も停止",
    ),
    (
        "A probe: how front ends ask it from outside, once a second, while an outage is under way. One of `tcp:PORT`, `smtp:PORT`, `http:PORT[/PATH]`, such as `http:80/status`, and `icmp`; may be given several times",
        "プローブ: 停電計画の実行中に、フロントエンドが外から 1 秒ごとに応答を確認する方法。`tcp:PORT`、`smtp:PORT`、`http:PORT[/PATH]`、`icmp` のいずれか。例: `http:80/status` (複数指定可)",
    ),
    (
        "A probe, in place of all there were: how front ends ask it from outside while an outage is under way. One of `tcp:PORT`, `smtp:PORT`, `http:PORT[/PATH]`, such as `http:80/status`, and `icmp`; may be given several times",
        "プローブ: 停電計画の実行中に、フロントエンドが外から応答を確認する方法。いままでのプローブをすべて置き換えます。`tcp:PORT`、`smtp:PORT`、`http:PORT[/PATH]`、`icmp` のいずれか。例: `http:80/status` (複数指定可)",
    ),
    ("Remove all its probes: it is asked no more", "プローブをすべて外し、応答の確認をやめます"),
    (
        "A server on which it depends: it leaves, comes home and is started after that one; may be given several times",
        "依存先のサーバ。退避、帰還、起動をそのサーバの後に行います (複数指定可)",
    ),
    (
        "A server on which it depends, in place of all there were: it leaves, comes home and is started after that one; may be given several times",
        "依存先のサーバ。退避、帰還、起動をそのサーバの後に行います。いままでの依存先をすべて置き換えます (複数指定可)",
    ),
    ("It depends on no server any more", "依存先をすべて外します"),
    (
        "Give it a display, of which `watari vm screenshot` takes pictures; nobody can type at it",
        "ディスプレイを付け、`watari vm screenshot` で画面を画像にできるようにします。キー入力はできません",
    ),
    (
        "A public key with which one may log in (see `watari key`); may be given several times",
        "ログインを許す公開鍵 (`watari key` を参照、複数指定可)",
    ),
    (
        "A file for cloud-init, or - for standard input: #cloud-config, a script, or multipart; at most 64 KiB",
        "cloud-init に渡すファイル。- は標準入力。#cloud-config、スクリプト、multipart のいずれかで 64 KiB 以下",
    ),
    ("What it calls itself, if not its name", "サーバ自身のホスト名。省略時はサーバの名前"),
    ("Do not start it yet", "まだ起動しません"),
    ("End the session of whoever has it open", "使用中の人の接続を終わらせて引き継ぎます"),
    ("Only those now at this site", "いまこのサイトにあるものだけ"),
    ("Only those on this node", "このノードにあるものだけ"),
    ("Only those in this state, such as running", "この状態のものだけ (例: running)"),
    ("The node to go to; without it the scheduler chooses", "移動先のノード。省略時はスケジューラが選びます"),
    ("Reset at once, instead of asking the guest", "ゲストに頼まず、すぐにリセットします"),
    (
        "From the disk that it had before, giving up the copy that it was to be started from and never ran on",
        "起動できていない複製を取りやめ、元のディスクから起動します",
    ),
    ("Off at once, instead of asking the guest", "ゲストに頼まず、すぐに電源を切ります"),
    (
        "The PNG file to write [default: the server's name with .png]",
        "書き出す PNG ファイル [既定値: サーバの名前に .png を付けたもの]",
    ),
    ("At most so many bytes, up to 131072", "表示する最大バイト数。131072 まで"),
    // --- nodes, sites and outages ----------------------------------------------------------
    ("The node", "ノード"),
    ("Cut its power; what runs there dies at once", "電源を切ります。そこで動いているものはすぐに停止します"),
    ("Switch it on", "電源を入れます"),
    ("Say whether it is on", "電源が入っているかどうかを表示します"),
    ("The site", "サイト"),
    ("Only those of this site", "このサイトのものだけ"),
    (
        "For how long the battery will last, if that is known: 600s, 10m",
        "分かる場合、バッテリーの残り時間 (例: 600s、10m)",
    ),
    ("Where its power comes from now", "現在の電源"),
    ("What if the power went in so many minutes", "この分数の後に電源が切れると仮定します"),
    ("A site whose evacuation would begin now", "いま退避を始めると仮定するサイト"),
    ("With --site: in what time its power would go", "--site とともに: 電源が切れるまでの時間"),
    (
        "With --site: until when it would have power: YYYY-MM-DD HH:MM, RFC 3339, or from now on as +45m, +3h, +2d",
        "--site とともに: 電源が切れる時刻。YYYY-MM-DD HH:MM、RFC 3339、または現在からの時間 +45m、+3h、+2d",
    ),
    (
        "What the link between sites would carry, in Mbit/s; without it what it was measured to carry",
        "サイト間の回線の速度 (Mbit/s)。省略すると実測値を使います",
    ),
    (
        "A node that would lose power so long after the beginning, seconds without a unit; may be given several times",
        "開始からこの時間の後に電源を失うノード。単位がなければ秒です。複数のノードを指定できます",
    ),
    ("The outage", "停電計画"),
    ("The outage, or its site", "停電計画、またはそのサイト"),
    ("The outage, or the site that it empties", "停電計画、またはその対象のサイト"),
    (
        "The outage, or a site: its last one that has begun",
        "停電計画。サイトを指定した場合は、そのサイトで最後に始まったもの",
    ),
    (
        "Write a page to print into this file instead, or to standard output for -",
        "表示する代わりに、印刷用のページをこのファイルに書き出します。- は標準出力",
    ),
    (
        "Also say how long so much data takes at the least on a link of so many Mbit/s",
        "この速度 (Mbit/s) の回線でデータ量だけにかかる時間も示します",
    ),
    (
        "What users noticed, as the users of deploy/demo write it (JSON)",
        "利用者が気づいたこと。deploy/demo の利用者の記録と同じ形式 (JSON)",
    ),
    (
        "The outage, or a site: its outage that has begun and is not over, else its next scheduled one",
        "停電計画、またはサイト。サイトの場合は進行中の計画、なければ次の予定",
    ),
    (
        "When the power goes: YYYY-MM-DD HH:MM, RFC 3339, or from now on as +45m, +3h, +2d",
        "停電の開始: YYYY-MM-DD HH:MM、RFC 3339、または現在からの時間 +45m、+3h、+2d",
    ),
    (
        "When it is back: as --from, so that +4h is four hours from now, not from the beginning",
        "停電の終了。形式は --from と同じです (+4h は停電の開始からではなく、現在から 4 時間後)",
    ),
    ("Leave them on instead", "停止せず、電源を入れたままにします"),
    (
        "Shut the site's nodes down once they are empty; see: watari outage shut-down",
        "空になったサイトのノードを停止します。詳しくは watari outage shut-down",
    ),
    ("What it is for, in one line", "目的 (1 行)"),
    ("The file to write, or - for standard output", "書き出すファイル。- は標準出力"),
    (
        "The calendar, or - for standard input: at most 1 MiB and 1,000 events",
        "カレンダーのファイル。- は標準入力。1 MiB、1,000 件まで",
    ),
    ("The site of events that name none", "サイトの名前がない予定のサイト"),
    ("Only events whose summary or categories hold this text", "件名または分類にこの語を含む予定だけ"),
    ("Only say what would be done", "実行せず、内容だけを表示します"),
    // --- images ----------------------------------------------------------------------------
    ("The image", "イメージ"),
    ("The image's name", "イメージの名前"),
    ("The operating system in it", "イメージの OS"),
    (
        "Which edition of it this is: `version` in JSON and in requests, since `--version` asks for that of the command",
        "イメージの版。`--version` はコマンド自身の版を表示するので、この名前です。JSON とリクエストでは `version` です",
    ),
    ("What it is for", "イメージの用途の説明"),
    ("As whom one logs in to its servers", "このイメージのサーバにログインするときのユーザ名"),
    ("By what its servers boot", "このイメージのサーバが起動に使うファームウェア"),
    ("QEMU's own BIOS, as without this option", "QEMU 付属の BIOS (省略時と同じ)"),
    ("UEFI, without Secure Boot", "UEFI (セキュアブートなし)"),
    ("Memory that its servers have at least", "このイメージのサーバに最低限必要なメモリ"),
    (
        "Disk that its servers have at least, if its own size is not enough",
        "このイメージのサーバに最低限必要なディスク。イメージ自体の大きさで足りない場合に指定します",
    ),
    (
        "A disk (qcow2, raw, VMDK, VHDX or VDI, plain or under gzip, xz or zstd): a file, an http:// or https:// URL that the front end fetches, or - for standard input",
        "ディスク (qcow2、raw、VMDK、VHDX、VDI。gzip、xz、zstd で圧縮可): ファイル、フロントエンドが取得する http:// か https:// の URL、または - (標準入力)",
    ),
    (
        "Have the front end compare the file's SHA-256: with this one, or with one computed before sending",
        "フロントエンドで SHA-256 を照合します。値を省くと送信前に計算します",
    ),
    // --- networks --------------------------------------------------------------------------
    ("The network", "ネットワーク"),
    (
        "The addresses handed out from now on; those of the range before that are in use must be among them",
        "今後配布するアドレス。これまでの範囲で使用中のアドレスをすべて含めます",
    ),
    (
        "Addresses of the range that are given only to who asks for one by name, in place of all there were; may be given several times",
        "範囲のうち、指定されたときにだけ割り当てるアドレス。これまでの指定はすべて置き換えます。複数回指定できます",
    ),
    ("Nothing of the range is kept back any more", "取り置きをすべて取りやめます"),
    ("Its name", "名前"),
    (
        "The campus's own segment, on a bridge that each node has",
        "キャンパスのセグメント。各ノードのブリッジを使います",
    ),
    ("A private segment across all sites", "オーバーレイネットワーク。全サイトにまたがる、サーバだけのもの"),
    ("The address", "アドレス"),
    ("The subnet", "サブネット"),
    ("The addresses handed out", "配布するアドレスの範囲"),
    (
        "Addresses of the range that are given only to who asks for one by name; may be given several times",
        "範囲の中で、指定されたときだけ割り当てるアドレス (複数指定可)",
    ),
    ("The router told to servers, outside the range", "サーバに知らせるルータ。配布範囲の外のアドレス"),
    (
        "A name server told to servers; may be given several times [default: with --gateway, the node: 169.254.169.254]",
        "サーバに知らせるネームサーバ (複数指定可) [既定値: --gateway があればノード自身 (169.254.169.254)]",
    ),
    (
        "A way to another subnet besides the gateway's; may be given several times",
        "ゲートウェイ以外のルータを通る、ほかのサブネットへの経路 (複数指定可)",
    ),
    (
        "The segment that nodes bind to a bridge [default: campus]",
        "ノードがブリッジに結び付けるセグメント [既定値: campus]",
    ),
    (
        "The VLAN of the segment, 1 to 4094, by the tag of its frames [default: none]",
        "セグメントの VLAN。フレームのタグの番号、1 から 4094 [既定値: なし]",
    ),
    (
        "The largest packet of its servers [default: as the nodes' bridges; --overlay: what every node carries]",
        "サーバの最大パケット長 [既定値: ノードのブリッジの大きさ。--overlay では全ノードが運べる大きさ]",
    ),
    (
        "The range is for public addresses of servers on overlay networks; see: watari address",
        "範囲をオーバーレイネットワークのサーバの公開アドレスに使います。詳しくは watari address",
    ),
    (
        "An IPv6 subnet: servers get IPv6 addresses that end in their IPv4 ones",
        "IPv6 サブネット。各サーバは、末尾が自身の IPv4 アドレスである IPv6 アドレスも使います",
    ),
    ("The IPv6 router told to servers", "サーバに知らせる IPv6 のルータ"),
    (
        "An IPv6 name server told to servers; may be given several times",
        "サーバに知らせる IPv6 のネームサーバ (複数指定可)",
    ),
    ("Only those on this network", "このネットワークのものだけ"),
    // --- public addresses ------------------------------------------------------------------
    ("The public address", "公開アドレス"),
    ("The network, made with --public", "--public を付けて作成したネットワーク"),
    ("This very address of its range; without it one is drawn", "範囲の中のこのアドレス。省略時は自動で選びます"),
    (
        "Which of its overlay networks [default: the first]",
        "サーバのどのオーバーレイネットワークか [既定値: 最初のもの]",
    ),
    // --- keys ------------------------------------------------------------------------------
    ("The key", "鍵"),
    ("The project", "プロジェクト"),
    ("The project's name", "プロジェクトの名前"),
    ("Servers at most, or none for no bound", "サーバ数の上限。none で上限なし"),
    (
        "Virtual CPUs of all its servers at most, or none for no bound",
        "全サーバの仮想 CPU の合計の上限。none で上限なし",
    ),
    ("Memory of all its servers at most, or none for no bound", "全サーバのメモリの合計の上限。none で上限なし"),
    (
        "Disk of all its servers at most, with snapshots and kept disks, or none for no bound",
        "全サーバのディスクの合計の上限 (スナップショットと残したディスクを含む)。none で上限なし",
    ),
    (
        "The project that it is counted with (see `watari project`); without it `default`",
        "属するプロジェクト (`watari project` を参照)。省略時は `default`",
    ),
    (
        "The project that it is counted with from now on (see `watari project`)",
        "今後属するプロジェクト (`watari project` を参照)",
    ),
    ("Only those of this project", "このプロジェクトのものだけ"),
    ("Only while they were of this project", "このプロジェクトに属していた間だけ"),
    ("The key's name", "鍵の名前"),
    (
        "The file that declares servers: .yaml, .json or .toml, or - for YAML or JSON on standard input",
        "サーバを宣言するファイル (.yaml、.json、.toml)。- は標準入力の YAML または JSON",
    ),
    ("The servers; all if none is named", "サーバ。省略時はすべて"),
    ("The file that ends in .pub, or - for standard input", "末尾が .pub のファイル。- は標準入力"),
    // --- firewall groups -------------------------------------------------------------------
    ("The group", "グループ"),
    ("To the servers or from them", "サーバへの通信か、サーバからの通信か"),
    ("To the servers", "サーバへ"),
    ("From the servers", "サーバから"),
    ("The protocol", "プロトコル"),
    ("Everything", "すべて"),
    ("TCP", "TCP"),
    ("UDP", "UDP"),
    ("ICMP, ping among it", "ICMP (ping を含む)"),
    (
        "To which ports of TCP or UDP, as 80 or 80-90; all if left out",
        "TCP または UDP の宛先ポート (例: 80、80-90)。省略時はすべて",
    ),
    (
        "The other end: a subnet, or the group whose servers it is; anybody if left out",
        "通信相手のサブネットまたはグループ。省略時は制限なし",
    ),
    // --- migrations and events -------------------------------------------------------------
    ("The migration", "移行"),
    ("Only this server's", "このサーバのものだけ"),
    ("Only those that are not over", "終わっていないものだけ"),
    ("At most so many, 1 to 1000 [default: 100]", "最大件数。1 から 1000 [既定値: 100]"),
    ("Go on with what happens, until Ctrl-C", "Ctrl-C を押すまで、起こったことを表示し続けます"),
    (
        "Only those of this kind: vms, nodes, migrations, outages, images, networks, ports, addresses, sites, keys, projects, firewalls, frontends",
        "この種類のものだけ: vms、nodes、migrations、outages、images、networks、ports、addresses、sites、keys、projects、firewalls、frontends",
    ),
    ("Only those of this resource", "この名前のものだけ"),
    ("At most so many past ones, 1 to 1000 [default: 50]", "過去の出来事の最大件数。1 から 1000 [既定値: 50]"),
    // --- further hosts ---------------------------------------------------------------------
    ("What the cluster is called", "クラスタの名前"),
    ("Where this host stands, and what people call that place", "このホストのサイトと、その表示名"),
    ("A further site; may be given several times", "ほかのサイト (複数指定可)"),
    ("This host's address, which all other hosts reach", "ほかの全ホストから届く、このホストのアドレス"),
    ("This host's name [default: what it calls itself]", "このホストの名前 [既定値: このマシンのホスト名]"),
    ("The folder that is this host's root", "このホストのルートとみなすフォルダ"),
    ("The cluster's folder", "クラスタのフォルダ"),
    ("The node's name", "ノードの名前"),
    ("As what the host joins", "参加するホストの役割"),
    ("It runs servers", "サーバを動かすノード"),
    ("It runs the services and NATS", "サービスと NATS を動かすフロントエンド"),
    ("It runs NATS only, at a third place", "第三の場所で NATS だけを動かす立会役"),
    (
        "The only host that it lets in [default: any that is not there yet]",
        "参加できるホストの名前 [既定値: まだ参加していないホストならどれでも]",
    ),
    ("Where the host stands [default: where it says]", "ホストのサイト [既定値: ホストの申告どおり]"),
    ("For how long it lets a host in, 1 to 10080 minutes", "参加できる時間 (分)。1 から 10080"),
    ("The token's ID, as `watari token list` shows it", "`watari token list` に表示されるトークンの ID"),
    (
        "The token that `watari token create` has printed; - for standard input",
        "`watari token create` が表示したトークン。- なら標準入力から読みます",
    ),
    ("As what this host joins", "このホストの役割"),
    ("The first front end's address or name", "最初のフロントエンドのアドレスまたは名前"),
    (
        "Where this host stands [default: what the token says, or the only site]",
        "このホストのサイト [既定値: トークンで指定したサイト、またはただ 1 つのサイト]",
    ),
    (
        "This host's address for management and migration [default: that from which it reaches the front end]",
        "管理と移行に使う、このホストのアドレス [既定値: フロントエンドへの通信に使うアドレス]",
    ),
    (
        "Its bridge into the campus's network [default: br-campus]",
        "キャンパスのネットワークにつながるブリッジ [既定値: br-campus]",
    ),
    (
        "The front end to follow, if the folder is not here [default: the one that has it]",
        "フォルダがここにない場合に従うフロントエンド [既定値: フォルダのあるもの]",
    ),
    (
        "Where to listen [default: port 8445 of this host's address]",
        "待ち受けるアドレス [既定値: このホストのアドレスのポート 8445]",
    ),
    // --- setup, completion and manual ------------------------------------------------------
    ("The description of the cluster (TOML; see the example below)", "クラスタの記述 (TOML。下の例を参照)"),
    ("Where the files go", "ファイルの出力先"),
    (
        "Give every host a new key and certificate, and revoke the old ones; the authority and the identities stay",
        "全ホストの鍵と証明書を作り直し、古いものを失効させます。認証局と利用者の鍵はそのままです",
    ),
    ("The shell; without it the one that SHELL names", "シェル。省略時は環境変数 SHELL のシェル"),
    ("GNU Bash", "GNU Bash"),
    ("Z shell", "Z シェル"),
    ("fish", "fish"),
    (
        "The line as far as it is typed, behind -- and without the command itself",
        "入力済みの行。-- の後に、コマンド自身を除いて指定します",
    ),
    ("The folder, which must be there", "既存のフォルダ"),
    ("The file", "ファイル"),
    ("At most so many, the newest", "件数の上限。新しいものから数えます"),
    ("Before: as --since", "これより前。書き方は --since と同じです"),
    (
        "Not before: 2d, 12h or 30m ago, a day, or a moment such as \"2026-11-01 08:00\"",
        "これ以降。2d、12h、30m (さかのぼる時間)、日付、または \"2026-11-01 08:00\" のような日時",
    ),
    (
        "Only what was done by whom this is a part of the name or address of",
        "名前またはアドレスにこの文字列を含む人が行ったものだけ",
    ),
    (
        "What: vm, node, site, frontend, image, network, port, address, key, project, firewall, migration or outage, or one of them as in vm/mail; everything if left out",
        "対象: vm、node、site、frontend、image、network、port、address、key、project、firewall、migration、outage、または vm/mail のように 1 つを指定します。省略するとすべて",
    ),
    (
        "From then on: a day, a moment such as \"2026-11-01 08:00\", or 7d ago",
        "これ以降。日付、\"2026-11-01 08:00\" のような日時、または 7d (さかのぼる時間)",
    ),
    ("Until then, or now if that is earlier", "これまで。現在のほうが早ければ現在まで"),
    ("Only servers of this name", "この名前のサーバだけ"),
    (
        "One line for each project with what its servers used together",
        "プロジェクトごとに 1 行にまとめ、サーバの使用量を合計します",
    ),
    ("Lines with commas between, for spreadsheets", "表計算ソフト用のコンマ区切り"),
    ("Only what concerns this node", "このノードに関するものだけ"),
    (
        "Only what this host itself shows; nobody else is asked, as each day on nodes",
        "このホストだけで分かるもの。ほかには問い合わせません (ノードでは毎日、これで診断します)",
    ),
    (
        "Mend on this host what is safely mended, each after asking",
        "このホストで安全に直せるものを、1 つずつ確認してから直します",
    ),
    (
        "The node that it is to go to later, of whichever site; without it the scheduler chooses one of another site",
        "後で移す先のノード (サイトは問いません)。省略すると、別のサイトのノードをスケジューラが選びます",
    ),
    ("The host of the front end that is lost for good", "永久に失われたフロントエンドのホスト"),
];
