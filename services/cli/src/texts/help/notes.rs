//! What follows the options: paragraphs, each as one line.

use super::Text;

pub(super) const TEXTS: &[Text] = &[
    ("Example:", "例:"),
    ("Examples:", "例:"),
    (
        "Exit status: 0 done; 1 refused or failed; 2 the command line makes no sense; 3 no connection or no answer. `watari doctor` has two more: 4 warnings, 5 something does not work. Everything here is a plain request, which any NATS client can send as well:",
        "終了ステータス: 0 完了、1 拒否または失敗、2 コマンドラインの誤り、3 接続できないか応答なし。\n`watari doctor` にはさらに 4 警告、5 異常 があります。\nここにある操作はすべて通常のリクエストで、どの NATS クライアントからも送れます:",
    ),
    (
        "With qemu-guest-agent in the guest the image is sure to hold all that the guest had written; without it, what was on the disk at that moment, as after a power cut. `watari image show` tells which.",
        "ゲストに qemu-guest-agent があれば、ゲストが書き込んだ内容がすべてイメージに入ります。\nなければ、電源断の直後と同じく、その時点のディスクの内容になります。どちらかは `watari image show` で確認できます。",
    ),
    (
        "It holds the disk, not the memory, and lies where the disk lies: it goes along when the server moves, and is lost with the disk. What is to outlive that is saved as an image (watari vm save). A server has at most three.",
        "メモリは含まず、ディスクと同じ場所に置かれます。サーバが移動すると一緒に移り、ディスクを失うと一緒に失われます。\nそれに備えて残すものは、イメージとして保存してください (watari vm save)。スナップショットは 1 台につき 3 個までです。",
    ),
    (
        "Ctrl-] leaves it. It goes along when the server moves. What was typed and shown is in no history; who opened it is.",
        "Ctrl-] で抜けます。サーバが移動すると、移動先で開き直します。\n入力と出力の内容は履歴に残りません。だれが開いたかは残ります。",
    ),
    (
        "Only a server that was made with --display has one. Nobody can type at it: see watari vm console.",
        "ディスプレイがあるのは、--display を付けて作成したサーバだけです。\nキー入力はできません。操作には watari vm console を使います。",
    ),
    (
        "The name is gone at once. Its room on the disk is given back when the server's next snapshot is taken or its disk is sent ahead.",
        "名前はすぐになくなります。使っていたディスクの容量は、次のスナップショットの作成時か、ディスクの事前転送時に解放されます。",
    ),
    (
        "Later snapshots are lost as well. The snapshot itself stays.",
        "後に作成したスナップショットも失われます。戻し先のスナップショットは残ります。",
    ),
    (
        "It begins at once, without a question; --dry-run says what it would do, as `watari outage plan SITE` does. The front end's services and NATS leave last. The exit status is 1 if anything did not move, or could not.",
        "確認なしですぐに始まります。--dry-run を付けると、`watari outage plan サイト` と同じく見込みだけを表示します。\nフロントエンドのサービスと NATS は最後に移ります。移らなかったもの、または移れないものがあれば終了ステータスは 1 です。",
    ),
    ("An evacuation that is under way is turned round.", "退避の途中であれば、そこから帰還に切り替わります。"),
    ("The exit status is 1 if any server did not move.", "移動できなかったサーバがあれば終了ステータスは 1 です。"),
    (
        "What is done about it is set in the scheduler's configuration, section [power]. A UPS that the monitor's configuration names ([[ups]]) says it by itself, and has the last word while it answers.",
        "知らせを受けた後の動作は、スケジューラの設定の [power] で決まります。\nモニタの設定 ([[ups]]) にある UPS からは自動で伝わり、応答している間はその内容が優先されます。",
    ),
    (
        "With little time the servers of the highest priority for their time on the link cross; the others are suspended or shut down before the power goes, and started again afterwards. Without --minutes the time is that which the site's battery was said to last, if it is on battery. Servers have less than all of it to cross: a tenth is not reckoned with, and a margin is kept for stopping those that stay (stop_seconds under [outages]) and for the front end's part.",
        "時間が足りない場合は、転送時間あたりの優先度が高いサーバから移動します。残りは電源が切れる前に休止または停止し、\n停電の終了後に再び起動します。--minutes を省略すると、バッテリー動作中のサイトでは、知らされている残り時間で計算します。\n移動に使うのは、その時間の全部ではありません。1 割は見込まず、残るサーバの停止 ([outages] の stop_seconds) と\nフロントエンドの交代のための余裕も取っておきます。",
    ),
    (
        "What is decided is decided by the scheduler's own code, against nodes that answer as real ones would. How much travels is what the last migrations show. The nodes are not shut down in it, and nothing but what --fail names goes wrong. The exit status is 1 if a server would be lost with the power or go down with a node, or the site not be empty in time.",
        "判断はスケジューラ自身のコードが行い、ノードは実物と同じように応答します。転送量は前回までの移行の実測値を使います。\n予行ではノードの停止は行わず、--fail で指定したもの以外の障害は起こりません。\n電源断で失われるサーバやノードの障害で停止するサーバがあるか、退避が間に合わなければ、終了ステータスは 1 です。",
    ),
    (
        "A date and a time of day are meant in this machine's time zone. How long before that the evacuation begins, and whether servers come home by themselves, is set in the scheduler's configuration, section [outages]. Until then `watari outage show` says how it would go now.",
        "日付と時刻は、このマシンのタイムゾーンで解釈します。\n退避を始める時期と、自動で帰還するかどうかは、スケジューラの設定の [outages] で決まります。\n開始までは、現時点の見込みを `watari outage show` で確認できます。",
    ),
    (
        "A server whose copy runs goes on to its end, and so does a change of front ends that has begun. The site still receives nothing. Any front end keeps the pause. It ends when the outage is resumed, turned round or called off; or when the site, whose power fails later, is to be emptied by the scheduler's [power] rules.",
        "複製中のサーバと、始まったフロントエンドの交代は、最後まで続きます。サイトは引き続き受け入れを行いません。\n一時停止は、どのフロントエンドが主系でも保たれます。再開、方向転換、取り消しのほか、\n後で停電したサイトを [power] の規則で退避させるときに終わります。",
    ),
    (
        "It is done once the outage is evacuated, the front end's part included. Each node's agent makes sure that nothing lives there and runs the program that its node-agent.toml names (shut_down under [power]); where none is named, the monitor cuts the power ([[fencing]]). Nodes are switched on by the monitor, or by hand, and are waited for at the return until they are heard and well. The hosts of front ends and of the witness are left alone. What failed is tried again when this is asked again.",
        "フロントエンドの交代も含めて退避が完了した後に実行します。各ノードのエージェントは、何も動いていないことを確認してから、\nnode-agent.toml の [power] の shut_down にあるプログラムを実行します。設定がないノードの電源は、モニタが [[fencing]] で切ります。\n起動はモニタまたは手動で行い、帰還の前に、応答があり正常であることを確認するまで待ちます。\nフロントエンドと立会役のホストには触れません。失敗したノードは、もう一度実行すると再試行します。",
    ),
    (
        "An outage's name is the UID of its event: whoever subscribes to the file sees its changes.",
        "停電計画の名前が予定の UID になるため、ファイルを購読している人には変更も伝わります。",
    ),
    (
        "The page of --html is one file in the language of the command: it loads nothing, needs no script, and prints on A4. What front ends saw is known of servers that have probes (watari vm edit --probe). What operators stopped or rebooted meanwhile is told as theirs, not as a gap.",
        "--html のページは、コマンドの言語で書かれた 1 つのファイルです。\n外部のものは読み込まず、スクリプトも使わず、A4 に印刷できます。\nフロントエンドから見た応答は、プローブ (watari vm edit --probe) を設定したサーバについて記録されます。\n操作者の指示による停止や再起動の間は、途切れには数えず、指示によるものとして示します。",
    ),
    (
        "An event is about the site that its LOCATION, else its CATEGORIES, else its SUMMARY names, by name or title. Where a calendar holds other events as well, --matching says which are outages; of others nothing is told. An event is known again by its UID: importing twice changes nothing, a new time moves the outage as long as it has not begun, and STATUS CANCELLED calls it off. Times without a zone, and whole days, are meant in the calendar's zone (X-WR-TIMEZONE), or else this machine's. An event that recurs is imported for its next time; once that is over, import the calendar again. Events that cannot be understood are not imported. The exit status is 1 if there was such an event about a site, or one was refused; all others are imported first.",
        "予定のサイトは、LOCATION、CATEGORIES、SUMMARY の順に、名前または表示名で判断します。\nほかの予定も含むカレンダーでは --matching で停電の予定を選びます。それ以外の予定は表示しません。\n予定は UID で識別します。繰り返し取り込んでも変わらず、日時が変われば開始前の停電計画を変更し、\nSTATUS CANCELLED なら取り消します。タイムゾーンのない時刻と終日の予定は、カレンダー (X-WR-TIMEZONE) または\nこのマシンのタイムゾーンで解釈します。繰り返しの予定は次の回を取り込みます。\nそれが終わったら、もう一度取り込んでください。解釈できない予定は取り込みません。\nサイトについてそのような予定があるか、拒否された予定があれば、ほかをすべて取り込んだ上で、終了ステータスは 1 です。",
    ),
    (
        "Keys: q or Esc leaves; arrows, Page Up, Page Down, Home and End scroll.",
        "キー: q か Esc で終了します。矢印、Page Up、Page Down、Home、End でスクロールします。",
    ),
    ("Example of a file:", "ファイルの例:"),
    (
        "A server is declared with what `watari vm create` takes: name, image, networks, public_addresses (NETWORK=ADDRESS, allocated before), site, project, vcpus, memory, disk, node_labels, groups, firewalls, evacuate, priority, restart, on_isolation, restart_from_copy and max_downtime (seconds), display, probes, after, keys, hostname, user_data (a file beside this one), and running. What is left out stays as it is; a new server has the usual. Its size, public_addresses, project, evacuate, priority, restart, on_isolation, restart_from_copy, max_downtime, probes, after, and whether it runs, can be changed; all else only by deleting it, by which its disk is lost. Servers that the file does not name are left alone. --dry-run tells which names are not known and who would depend on itself, but not whether a node has room. The exit status is 1 if anything could not be done; 3 if nobody answers.",
        "サーバは `watari vm create` の内容で宣言します: name、image、networks、\npublic_addresses (確保済みの公開アドレス。NETWORK=ADDRESS)、site、project、vcpus、memory、disk、node_labels、\ngroups、firewalls、evacuate、priority、restart、on_isolation、restart_from_copy と max_downtime (秒)、display、probes、after、keys、hostname、user_data (このファイルから見たファイル名)、running。\n書かなかった項目は、いまのまま変わりません。新しいサーバでは既定値になります。変更できるのは大きさ、public_addresses、project、evacuate、priority、restart、on_isolation、restart_from_copy、max_downtime、probes、after と、\n稼働するかどうかです。ほかは削除して作り直すしかなく、ディスクの内容は失われます。ファイルにないサーバには触れません。\n--dry-run は、ない名前と、自分自身への依存を指摘しますが、ノードに空きがあるかは調べません。できないことがあれば終了ステータスは 1、応答がなければ 3 です。",
    ),
    ("Example of a cluster's description:", "クラスタの記述の例:"),
    (
        "DIR/hosts/HOST is then what belongs into the root of HOST, as root's and without touching the folders that are there:",
        "DIR/hosts/HOST の内容を、HOST のルートに root の所有で、既存のフォルダを変えずに置きます:",
    ),
    (
        "DIR/ca and DIR/nkeys are the cluster's secrets. Keep them, off the hosts: the next run needs them.",
        "DIR/ca と DIR/nkeys はクラスタの秘密です。ホスト以外の場所に保管してください。次回の実行に必要です。",
    ),
    (
        "Debian's package `watari` has them in place: man watari, man watari-vm-create.",
        "Debian パッケージ `watari` では設置済みです: man watari、man watari-vm-create。",
    ),
    ("Debian's package `watari` has all three in place.", "Debian パッケージ `watari` では 3 つとも設定済みです。"),
    (
        "What counts is what was accepted, whether it runs or not. Kept disks and snapshots count as disk. What is not bounded is taken as there is room.",
        "稼働しているかどうかにかかわらず、受け付けた分を数えます。残したディスクとスナップショットもディスクに数えます。上限のない項目は、空きがあるかぎり使えます。",
    ),
    (
        "A bound below what is used takes nothing away: it refuses what would use more.",
        "使用量より小さい上限を設定しても既存のサーバはそのままで、使用量が増える要求だけを断ります。",
    ),
    (
        "A day begins at midnight of this machine's time zone, and what is named by --to is not counted any more: the first example is November. Processors and memory count while a server runs, its disk as long as it exists, with what its snapshots keep; a kept disk counts on under its server's name. Servers that had one name one after another are added up; one that was of several projects has a line for each. Time of which the history does not reach back is in a column of its own and in no other.",
        "日はこのマシンのタイムゾーンの午前 0 時に始まり、--to で指定した日は含みません。最初の例は 11 月分です。\n仮想 CPU とメモリは稼働している間、ディスクは存在している間を、スナップショットが使う容量も含めて数えます。残したディスクは、元のサーバの名前で引き続き数えます。同じ名前を順に使ったサーバは合計し、属するプロジェクトが変わったサーバはプロジェクトごとに示します。\n記録が残っていない時間は専用の列に示し、ほかの列には含めません。",
    ),
    (
        "Example, as root, after the services were started once everywhere. First, on every front end:",
        "例 (root として。すべてのサービスを一度起動した後)。まず、すべてのフロントエンドで実行します:",
    ),
    ("Then, on one of them:", "次に、そのうちの 1 台で実行します:"),
    ("And again on every front end:", "最後に、すべてのフロントエンドで実行します:"),
    (
        "It is shown this once: what is kept of it does not tell it. On the new host: watari join",
        "表示されるのは一度だけです。保管される内容からトークンは分かりません。新しいホストで watari join に指定します。",
    ),
    ("Example, as root on the first front end:", "例 (最初のフロントエンドで root として):"),
    (
        "The keys of the cluster are in its folder from then on, readable for root alone: keep a copy off the host. It may be run again if it breaks off. Configuration (.toml) that somebody has changed stays as it is: what is to be made anew is moved aside first.",
        "以後、クラスタの鍵はそのフォルダにあり、root だけが読めます。控えを別の場所に保管してください。\n途中で止まった場合は、もう一度実行できます。編集された設定ファイル (.toml) は変更しません。作り直すものは、先に別の場所に移してください。",
    ),
    (
        "Example, as root on a new node, once its packages are installed and its bridge is there:",
        "例 (新しいノードで、パッケージとブリッジを用意した後、root として):",
    ),
    ("Example, once the node is off or drained:", "例 (ノードを停止するか、空にした後で):"),
    (
        "Its agent is cut off at once and cannot come back, unless it joins anew. Servers that run there run on, unless they are to stop when nobody hears their node. Other hosts refuse its certificates once they have heard of it: front ends within seconds, nodes within a quarter of an hour. It joins anew with other keys alone.",
        "エージェントはただちに切断され、参加し直さない限り戻れません。そこで動いているサーバは、ノードの孤立時に停止する設定のものを除いて動き続けます。\nほかのホストは、フロントエンドでは数秒以内、ノードでは 15 分以内に、そのノードの証明書を受け付けなくなります。参加し直すには別の鍵が必要です。",
    ),
    ("On a new front end, and on the witness:", "新しいフロントエンドと立会役では:"),
    (
        "The token is asked for: on the command line everybody who is logged in could read it. A script pipes it, with --yes. The host is looked at first, and what will be written is shown. No interface is changed and nothing is started. What breaks off is run again with the same token. Configuration (.toml) that somebody has changed stays as it is.",
        "トークンは実行後に入力します。コマンドラインに書くと、ログイン中のだれもが読めるためです。スクリプトでは標準入力から渡し、--yes を付けます。\nまずホストを確認し、書き込むファイルを表示します。インターフェースは変更せず、何も起動しません。\n途中で止まった場合は、同じトークンでもう一度実行してください。編集された設定ファイル (.toml) は変更しません。",
    ),
    ("Example, as root on a front end:", "例 (フロントエンドで root として):"),
    (
        "Without --fix nothing is changed. With it, on the host on which it is called: what is set up there and does not run is started, what would not come back after a loss of power is enabled, the clock is set by NTP, and keys that everybody can read are closed. Each is shown and asked about, and it is looked again at the end. Nothing is restarted, deleted or installed, and no interface is touched.",
        "--fix を付けなければ何も変更しません。\n付けると、実行したホストについて、設定されているのに動いていないサービスの起動、停電後に自動で起動しないものの有効化、NTP による時刻合わせ、だれでも読める鍵の保護を行います。\n1 つずつ内容を示して確認し、最後にもう一度診断します。再起動、削除、インストールは行わず、インターフェースにも触れません。",
    ),
    (
        "Exit status: 0 nothing is wrong, though there may be notes; 4 warnings; 5 something does not work, or somebody does not answer; 1 to 3 as of every command: a refusal, a wrong command line, no connection.",
        "終了ステータス: 0 異常なし (参考情報はあり得ます)、4 警告、5 異常または応答なし。拒否、コマンドラインの誤り、接続なしは、ほかのコマンドと同じ 1 から 3 です。",
    ),
    (
        "Nothing is started elsewhere because a node is silent: it may be running. On your word what waits for it goes on: a server whose whole copy stands paused on another node runs there; one whose only disk is on the node is shown as stopped, and starts there again when the node is back; the addresses of deleted ones are free. If the node is NOT off, a server may then run twice. The word ends by itself when the node is heard again.",
        "ノードの応答がないだけでは、サーバを別の場所で起動しません。まだ動いている可能性があるためです。\nこのコマンドで電源断を知らせると、待っていた処理が進みます。完全な複製が別のノードで一時停止しているサーバは、そこで稼働します。\nディスクがこのノードにしかないサーバは停止と表示され、ノードが戻るとそこで再び起動します。削除したサーバのアドレスは解放されます。\nノードの電源が実際には切れていない場合、同じサーバが 2 か所で動くおそれがあります。ノードから再び応答があると、この扱いは自動で終わります。",
    ),
    (
        "The monitor that leads runs the programs that [[fencing]] in its configuration names for the node. By them it cuts off lost nodes by itself. That a node was switched off by hand makes nothing start elsewhere until it is lost, too.",
        "主系のモニタが、設定の [[fencing]] にあるそのノード用のプログラムを実行します。応答のないノードの電源は、これを使って自動で切ります。\n手動で電源を切っただけでは、ノードが応答なしと判定されるまで、サーバが別の場所で起動することはありません。",
    ),
    (
        "Servers run on meanwhile. What nodes say of them goes before what the backup says: a server that has moved since is taken for where it is.",
        "その間もサーバは稼働を続けます。サーバについては、バックアップよりノードの報告を優先します。\nバックアップの後に移動したサーバは、今いる場所にあるものとして扱います。",
    ),
    (
        "Servers whose only disk is there are deleted first: watari vm delete.",
        "ディスクがそこにしかないサーバは、先に watari vm delete で削除してください。",
    ),
    (
        "The file holds servers' user-data, which may be secret: keep it as you keep a key. Files of images and disks of servers are not in it.",
        "ファイルにはサーバの user-data が入り、秘密が含まれる可能性があります。鍵と同じように保管してください。\nイメージのファイルとサーバのディスクは含まれません。",
    ),
    (
        "A disk is held ready at one node: another --to takes the place of the one before.",
        "転送先として保持するノードは 1 つです。別の --to を指定すると、前の転送先に置き換わります。",
    ),
    (
        "Without --yes it is asked, or refused where nobody can be asked, only while the address leads to a server.",
        "--yes がない場合に確認する (確認できる人がいなければ断る) のは、サーバに関連付けられている間だけです。",
    ),
    (
        "Whoever reaches the segment then reaches the server, as far as its firewall groups let through; a server that names none is open. What it sends out comes from the public address.",
        "以後、セグメントに届く人はだれでも、ファイアウォールグループが許可する範囲でサーバに届きます。\nグループのないサーバには制限なしに届きます。サーバからの通信は、公開アドレスから出ていきます。",
    ),
    (
        "Who a person is, and from which address, is what NATS knows of the connection. The name in brackets is what the command found the person to be logged in as: it proves nothing.",
        "だれが、どのアドレスから操作したかは、NATS が接続について知っている内容です。\n括弧内の名前はコマンドが見つけたログイン名で、本人の証明にはなりません。",
    ),
    ("Example, as root on the front end that is left:", "例 (残ったフロントエンドで root として):"),
    (
        "Only once the other front end is off and stays off: burnt down, or with its disk lost. If only the link or the power is away, mend that, and all goes on by itself. Nothing that was acknowledged is lost, since both have acknowledged it; two front ends that are each declared the only one would be two clouds. Servers of the lost campus are started elsewhere only once its nodes are known to be off (watari node confirm-off, or a power controller). The lost front end comes back with an empty store, by itself or as a host that joins.",
        "もう一方のフロントエンドが焼失したりディスクを失ったりして、停止したまま戻らない場合に限り実行します。\n回線や電源の一時的な障害なら、復旧すれば自動で元に戻ります。受け付け済みの変更は両方が確認しているため失われません。\n両方で実行すると、クラウドが 2 つに分かれてしまいます。失われたキャンパスのサーバをほかで起動するのは、\nノードの停止が確認できてからです (watari node confirm-off または電源制御装置)。\n失われたフロントエンドは、空の保存領域から、自動で、または新しく参加するホストとして戻ります。",
    ),
];
