//! What commands are for.

use super::Text;

pub(super) const TEXTS: &[Text] = &[
    (
        "The operator's command of Watari, the private cloud whose servers migrate",
        "サーバが移動するプライベートクラウド Watari の操作コマンド",
    ),
    ("Print this message or the help of the given subcommand(s)", "この説明、または指定したコマンドの説明を表示します"),
    // --- servers ---------------------------------------------------------------------------
    ("Servers", "サーバ"),
    ("Make a server and start it", "サーバを作成して起動します"),
    ("List the servers", "サーバの一覧を表示します"),
    ("Show one server", "サーバ 1 台の詳細を表示します"),
    ("Start a stopped server", "停止しているサーバを起動します"),
    ("Shut a server down; its disk and addresses stay", "サーバをシャットダウンします。ディスクとアドレスは残ります"),
    ("Reboot a running server", "稼働中のサーバを再起動します"),
    (
        "Change a server's size; a running one grows at once as far as it can, the rest is so from its next reboot on",
        "サーバの大きさを変更します。稼働中のサーバはできるかぎりすぐに大きくなり、残りは次の再起動から反映されます",
    ),
    (
        "Change what becomes of a server when it has to leave, goes off or is cut off",
        "退避、停止、ノード孤立のときのサーバの扱いを変更します",
    ),
    ("Remove a server with its disk and addresses", "サーバをディスクとアドレスごと削除します"),
    ("Move a running server to another node, live", "稼働中のサーバを停止せずに別のノードへ移します"),
    (
        "Save a server's disk as an image; the server goes on, running or not",
        "サーバのディスクをイメージとして保存します。サーバの状態は変わりません",
    ),
    (
        "Make the servers that a file declares, and change those that are there already",
        "ファイルに宣言したサーバを作成し、すでにあるものは宣言に合わせて変更します",
    ),
    ("Moments of a server's disk, to go back to", "サーバのディスクのスナップショット。後でその時点に戻せます"),
    (
        "Keep a server's disk as it is now under a name; the server goes on, running or not",
        "サーバのディスクの現在の内容を名前を付けて残します。サーバの状態は変わりません",
    ),
    ("List a server's snapshots", "サーバのスナップショットの一覧を表示します"),
    (
        "Put a stopped server's disk back to a snapshot; what was written since is lost",
        "停止中のサーバのディスクをスナップショットに戻します。その後に書き込まれた内容は失われます",
    ),
    ("Forget a snapshot; the disk stays as it is", "スナップショットを削除します。ディスクの内容は変わりません"),
    ("Write servers down, as `watari apply` takes them", "サーバの内容を `watari apply` の書式で書き出します"),
    ("Type at a running server's serial console", "稼働中のサーバのシリアルコンソールを操作します"),
    (
        "Take a picture of what the display of a running server shows",
        "稼働中のサーバのディスプレイに表示されている画面を画像として保存します",
    ),
    ("Print the end of a server's serial console log", "サーバのシリアルコンソールのログの末尾を表示します"),
    // --- nodes -----------------------------------------------------------------------------
    ("Nodes: the machines that run servers", "ノード: サーバを動かすマシン"),
    ("List the nodes", "ノードの一覧を表示します"),
    ("Show one node", "ノード 1 台の詳細を表示します"),
    (
        "Keep new servers away from a node; those on it run on",
        "ノードへの新しいサーバの受け入れを止めます。稼働中のサーバはそのままです",
    ),
    (
        "Let a node receive servers again, also one that was drained",
        "ノードへの受け入れを再開します。空にしたノードにも使えます",
    ),
    (
        "Have a node's power controller switch it, or say whether it is on",
        "ノードの電源を電源制御装置で操作するか、状態を表示します",
    ),
    ("Empty one node, live", "ノード 1 台のサーバを停止せずにすべて移します"),
    // --- sites and outages -----------------------------------------------------------------
    ("Campuses: emptied before an outage, brought home after it", "サイト (キャンパス)。停電前の退避と停電後の帰還"),
    ("List the sites", "サイトの一覧を表示します"),
    (
        "Empty a site, live: every server that may crosses to another site",
        "サイトを退避させます。移動できるサーバはすべて停止せずに別のサイトへ移ります",
    ),
    ("Bring a site's servers home", "サイトのサーバを帰還させます"),
    (
        "Say where a site's power comes from; for whoever watches its UPS",
        "サイトの電源を知らせます。UPS を監視する側が使います",
    ),
    (
        "Outages: a site or node is emptied beforehand, and its servers come home afterwards",
        "停電計画: サイトまたはノードの退避と、その後の帰還の予定、経過、結果",
    ),
    ("List the outages, newest first", "停電計画の一覧を新しい順に表示します"),
    (
        "Show one outage, with what came of its evacuation or, later, of its return",
        "停電計画 1 件を、最後の退避または帰還の報告とともに表示します",
    ),
    (
        "Say what an evacuation of a site would do now, without doing it; status 1 if a server could not move",
        "いまサイトを退避させた場合の見込みを表示します。実行はしません。移動できないサーバがあれば終了ステータスは 1 です",
    ),
    (
        "Go through an outage in simulated time, there and back, with everything as it is now; nothing happens",
        "停電計画の退避と帰還を、現在の状態を使ってシミュレーションした時間で予行します。実際には何も変わりません",
    ),
    (
        "Say beforehand that a site's power will be off: it is emptied in time and brought home afterwards",
        "サイトの停電を事前に登録します。停電までに退避し、終了後に帰還します",
    ),
    ("Move a scheduled outage to another time", "予定された停電計画の日時を変更します"),
    ("Begin a scheduled outage without waiting for its time", "予定された停電計画を、時刻を待たずに開始します"),
    (
        "Begin no further migration of an evacuation or a return, until it is resumed",
        "退避または帰還を一時停止します。再開するまで新しい移行を始めません",
    ),
    (
        "Have a site's nodes shut down once they are empty, one after another, and awaited at the return",
        "空になったサイトのノードを 1 台ずつ停止し、帰還時に復帰を待つようにします",
    ),
    ("Go on with what was paused", "一時停止したものを再開します"),
    (
        "Bring an outage's servers home, as `watari site return` does",
        "停電計画のサイトのサーバを帰還させます。`watari site return` と同じ動作です",
    ),
    (
        "Call an outage off: servers whose copy runs still arrive, all others stay, and the site takes servers again",
        "停電計画を取り消します。複製中のサーバは到着し、ほかは現在の場所に残ります。サイトは再び受け入れ可能になります",
    ),
    (
        "Say what an outage came to, there and back, and what front ends saw of its servers; with --html to print",
        "停電計画の退避と帰還の結果と、フロントエンドから見たサーバの応答を報告します。--html で印刷用に書き出します",
    ),
    ("Write the outages as a calendar (.ics)", "停電計画をカレンダー (.ics) として書き出します"),
    (
        "Schedule, move and call off outages as a calendar (.ics) says",
        "カレンダー (.ics) に従って停電計画を登録、変更、取り消します",
    ),
    // --- front ends ------------------------------------------------------------------------
    (
        "Front ends: who leads, who stands by, and from where the services should lead",
        "フロントエンド: 主系と待機系、主系を置くサイト",
    ),
    (
        "Who leads which service and where, how far the standbys are, and the state of NATS",
        "各サービスの主系の場所、待機系の追従状況、NATS の状態を表示します",
    ),
    (
        "Have all services lead from a site; no request is lost, none waits for longer than a second",
        "全サービスの主系をサイトへ移します。リクエストは失われず、1 秒を超えて待たされることもありません",
    ),
    (
        "Go on with this front end alone, where it is one of two without a witness and the other one is lost for good",
        "立会役のない 2 台のフロントエンドの一方が永久に失われたとき、残ったこの 1 台だけで続けます",
    ),
    // --- images ----------------------------------------------------------------------------
    ("Images: what servers' disks are made from", "イメージ: サーバのディスクのもと"),
    ("Send a disk image and register it", "ディスクイメージを送って登録します"),
    (
        "Change what is said of an image, for servers made from it from now on",
        "イメージに登録した説明や条件を変更します。以後に作成するサーバに使われます",
    ),
    ("List the images", "イメージの一覧を表示します"),
    ("Show one image", "イメージ 1 つの詳細を表示します"),
    ("Remove an image that no server uses", "どのサーバも使っていないイメージを削除します"),
    // --- kept disks ------------------------------------------------------------------------
    (
        "Disks of deleted servers that were kept, for other servers to begin with",
        "残したディスク: 削除したサーバのディスクで、ほかのサーバに使えるもの",
    ),
    ("List the kept disks", "残したディスクの一覧を表示します"),
    ("Show one kept disk", "残したディスク 1 つの詳細を表示します"),
    ("Delete a kept disk that no server begins with", "残したディスクのうち、どのサーバも使っていないものを削除します"),
    // --- networks --------------------------------------------------------------------------
    ("Networks and the addresses that they hand out", "ネットワークと、配布するアドレス"),
    ("Make a network", "ネットワークを作成します"),
    ("List the networks", "ネットワークの一覧を表示します"),
    ("Show one network", "ネットワーク 1 つの詳細を表示します"),
    (
        "Change which addresses a network hands out; those that servers have stay theirs",
        "ネットワークが配布するアドレスを変更します。サーバが使用中のアドレスは変わりません",
    ),
    (
        "Give out again an address that another machine had, which has it no more",
        "ほかの機器が使っていて、いまは使っていないアドレスを、再び割り当てられるようにします",
    ),
    ("Remove a network that no server uses", "どのサーバも使っていないネットワークを削除します"),
    ("Ports: the addresses in use", "ポート: 使用中のアドレス"),
    ("List the addresses in use and who has them", "使用中のアドレスと使用者の一覧を表示します"),
    // --- public addresses ------------------------------------------------------------------
    (
        "Public addresses, which lead to servers on overlay networks",
        "公開アドレス: オーバーレイネットワークのサーバに外から届くアドレス",
    ),
    (
        "Take a public address of a network that was made for them",
        "公開アドレスを、専用のネットワークから 1 つ確保します",
    ),
    ("List the public addresses and where they lead", "公開アドレスと関連付け先の一覧を表示します"),
    ("Show one public address", "公開アドレス 1 つの詳細を表示します"),
    (
        "Let a public address lead to a server; it goes along when the server moves",
        "公開アドレスをサーバに関連付けます。サーバが移動すると一緒に移ります",
    ),
    (
        "Let a public address lead nowhere; it stays allocated",
        "公開アドレスの関連付けを解除します。確保したままになります",
    ),
    ("Give a public address back", "公開アドレスを解放します"),
    // --- keys ------------------------------------------------------------------------------
    ("Public SSH keys, for logging in to servers", "サーバへのログインに使う SSH 公開鍵"),
    ("Keep a public key under a name", "公開鍵を名前を付けて登録します"),
    ("List the keys", "鍵の一覧を表示します"),
    ("Show one key", "鍵 1 つの詳細を表示します"),
    (
        "Projects: servers that are counted together, and how much they may have",
        "プロジェクト。サーバをまとめて数え、使える量の上限を設けます",
    ),
    ("Make a project", "プロジェクトを作成します"),
    (
        "List the projects, with what they use of what they may have",
        "プロジェクトの一覧を、使用量と上限とともに表示します",
    ),
    ("Show one project, with what is used and left", "プロジェクト 1 つの使用量と残りを表示します"),
    ("Change how much a project may have", "プロジェクトの上限を変更します"),
    ("Forget a project that has no servers and no kept disks", "サーバも残したディスクもないプロジェクトを削除します"),
    (
        "Forget a key; servers that were made with it keep it",
        "鍵の登録を削除します。その鍵で作成済みのサーバには残ります",
    ),
    // --- firewall groups -------------------------------------------------------------------
    (
        "Firewall groups: what may reach the servers that name them, and what these may reach",
        "ファイアウォールグループ: グループを指定したサーバへの通信と、サーバからの通信の許可",
    ),
    ("Make a group, which lets nothing in at first", "グループを作成します。最初は外からの通信を何も許可しません"),
    ("List the groups", "グループの一覧を表示します"),
    ("Show one group", "グループ 1 つの詳細を表示します"),
    ("Let something through; running servers feel it at once", "通信を許可します。稼働中のサーバにもすぐ反映されます"),
    (
        "Let something through no more; connections that are open stay open",
        "通信の許可を取り消します。確立済みの接続は切れません",
    ),
    ("Remove a group that no server and no rule names", "どのサーバも規則も参照していないグループを削除します"),
    // --- migrations ------------------------------------------------------------------------
    ("Migrations: servers on their way from node to node", "移行: ノード間を移動するサーバ"),
    ("List the migrations, newest first", "移行の一覧を新しい順に表示します"),
    ("Show one migration", "移行 1 件の詳細を表示します"),
    (
        "Cancel a migration that has not switched over; the server goes on where it was",
        "切り替え前の移行を取り消します。サーバは元の場所で動き続けます",
    ),
    (
        "Watch sites, nodes, servers and what moves, on the whole terminal",
        "サイト、ノード、サーバと移動の様子を、端末の画面全体に表示し続けます",
    ),
    // --- further hosts ---------------------------------------------------------------------
    (
        "Make a cluster, with this host as its first front end",
        "このホストを最初のフロントエンドとしてクラスタを作成します",
    ),
    (
        "Tokens, with which further hosts join (as root on the first front end)",
        "ホストを加えるためのトークン (最初のフロントエンドで root として実行)",
    ),
    ("Make a token and print it; it lets one host in", "トークンを作成して表示します。1 台だけ参加できます"),
    ("List the tokens: who may still come, and who came", "トークンの一覧と、使用したホストを表示します"),
    (
        "Take a token back; a host that has joined with it stays",
        "トークンを取り消します。それで参加済みのホストはそのままです",
    ),
    (
        "What was done here: tokens, hosts let in and out, keys and files made; when, by whom and from where",
        "トークン、ホストの参加と除外、鍵とファイルの作成の記録を、日時、実行者、接続元とともに表示します",
    ),
    (
        "Take a node out of the cluster: NATS knows its key no more",
        "ノードをクラスタから除きます。NATS はその鍵を受け付けなくなります",
    ),
    (
        "Make this host one of a cluster, with a token from its first front end",
        "最初のフロントエンドで作成したトークンを使って、このホストをクラスタに加えます",
    ),
    (
        "Let hosts in that come with a token, or follow the front end that does; systemd starts this on every host",
        "トークンを持つホストを参加させるか、参加させているフロントエンドに従います。各ホストで systemd が起動します",
    ),
    // --- the rest --------------------------------------------------------------------------
    ("What happened, and what happens", "出来事の履歴と現在の動き"),
    (
        "Make keys, certificates and configuration for the hosts of a cluster, as files",
        "クラスタの各ホスト用の鍵、証明書、設定ファイルを作成します",
    ),
    ("Print the script with which a shell completes what is typed", "シェルの入力補完用スクリプトを出力します"),
    ("Print the names that the last word of a line may become", "行の最後の語の候補になる名前を表示します"),
    (
        "Write the manual's pages, one a command, into a folder",
        "コマンドごとのマニュアルページをフォルダに書き出します",
    ),
    ("All documents in one file, and back again", "すべての文書を 1 つのファイルに保存し、元に戻します"),
    (
        "Write all documents into a file, while everything runs on",
        "すべてを稼働させたまま、全文書をファイルに書き出します",
    ),
    (
        "Read a backup wholly: its digest, and whether each document can be used",
        "バックアップ全体を読み、ダイジェストと各文書が使えるかを確認します",
    ),
    (
        "Fill an empty installation from a backup, while its services are stopped and its nodes run",
        "空のクラスタにバックアップを戻します。サービスは停止し、ノードは稼働したままにします",
    ),
    (
        "Say that a lost node is off: you have looked, or cut its power",
        "失われたノードの電源が切れていることを知らせます (目で確かめたか、電源を切った場合)",
    ),
    (
        "Forget a node that is off and will not come back, and all that is on its disks",
        "電源が切れて戻らないノードを登録から外します (ディスクは消去しません)",
    ),
    (
        "Send a running server's disk ahead to another node, so that its move there moves little",
        "事前転送: 稼働中のサーバのディスクを別のノードへ先に送り、移動のときの転送量を減らします",
    ),
    (
        "What is wrong in the cluster or on one node, why it matters, and what mends it",
        "クラスタまたはノードの異常と、その影響、対処を表示します",
    ),
    (
        "Who did what, when and why, with what was before and after",
        "だれが、いつ、なぜ、何を変えたかを、変更前と変更後とともに表示します",
    ),
    ("What servers used", "サーバの使用量"),
    (
        "Say how many hours of processor, memory and disk each server used",
        "サーバごとの仮想 CPU、メモリ、ディスクの使用時間を表示します",
    ),
];
