//! What follows the options: paragraphs, each as one line.

use super::Text;

pub(super) const TEXTS: &[Text] = &[
    ("Example:", "例:"),
    ("Examples:", "例:"),
    (
        "Exit status: 0 done; 1 refused or failed; 2 the command line makes no sense; 3 no connection or no answer. Everything here is a plain request, which any NATS client can send as well:",
        "終了ステータス: 0 完了、1 拒否または失敗、2 コマンドラインの誤り、3 接続できないか応答なし。\nここにある操作はすべて通常の要求で、どの NATS クライアントからも送れます:",
    ),
    (
        "With qemu-guest-agent in the guest the image is sure to hold all that the guest had written; without it, what was on the disk at that moment, as after a power cut. `watari image show` tells which.",
        "ゲストに qemu-guest-agent があれば、ゲストが書き込んだ内容がすべてイメージに入ります。\nなければ、電源断の直後と同じく、その時点のディスクの内容になります。どちらかは `watari image show` で確認できます。",
    ),
    (
        "The front end's services and NATS leave last. The exit status is 1 if anything did not move.",
        "フロントエンドのサービスと NATS は最後に移ります。移らなかったものがあれば終了ステータスは 1 です。",
    ),
    ("The exit status is 1 if any server did not move.", "移動できなかったサーバがあれば終了ステータスは 1 です。"),
    (
        "What is done about it is set in the scheduler's configuration, section [power]. A UPS that the monitor's configuration names ([[ups]]) says it by itself, and has the last word while it answers.",
        "知らせを受けた後の動作は、スケジューラの設定の [power] で決まります。\nモニタの設定 ([[ups]]) にある UPS からは自動で伝わり、応答している間はその内容が優先されます。",
    ),
    (
        "A date and a time of day are meant in this machine's time zone. How long before that the evacuation begins, and whether servers come home by themselves, is set in the scheduler's configuration, section [outages]. Until then `watari outage show` says how it would go now.",
        "日付と時刻は、このマシンのタイムゾーンで解釈します。\n退避を始める時期と、自動で帰還するかどうかは、スケジューラの設定の [outages] で決まります。\n開始までは、現時点の見込みを `watari outage show` で確認できます。",
    ),
    (
        "A server whose copy runs goes on to its end, and so does a change of front ends that has begun. The site still receives nothing. Any front end keeps the pause. It ends when the outage is resumed, turned round or called off; or when the site, whose power fails later, is to be emptied by the scheduler's [power] rules.",
        "コピー中のサーバと、始まったフロントエンドの交代は、最後まで続きます。サイトは引き続き受け入れを行いません。\n一時停止は、どのフロントエンドが主系でも保たれます。再開、方向転換、取り消しのほか、\n後で停電したサイトを [power] の規則で退避させるときに終わります。",
    ),
    (
        "An outage's name is the UID of its event: whoever subscribes to the file sees its changes.",
        "停電計画の名前が予定の UID になるため、ファイルを購読している人には変更も伝わります。",
    ),
    (
        "An event is about the site that its LOCATION, else its CATEGORIES, else its SUMMARY names, by name or title. Where a calendar holds other events as well, --matching says which are outages; of others nothing is told. An event is known again by its UID: importing twice changes nothing, a new time moves the outage as long as it has not begun, and STATUS CANCELLED calls it off. Times without a zone, and whole days, are meant in the calendar's zone (X-WR-TIMEZONE), or else this machine's. Events that recur or cannot be understood are not imported. The exit status is 1 if there was such an event about a site, or one was refused; all others are imported first.",
        "予定のサイトは、LOCATION、CATEGORIES、SUMMARY の順に、名前または表示名で判断します。\nほかの予定も含むカレンダーでは --matching で停電の予定を選びます。それ以外の予定は表示しません。\n予定は UID で識別します。繰り返し取り込んでも変わらず、日時が変われば開始前の停電計画を変更し、\nSTATUS CANCELLED なら取り消します。タイムゾーンのない時刻と終日の予定は、カレンダー (X-WR-TIMEZONE) または\nこのマシンのタイムゾーンで解釈します。繰り返しの予定と解釈できない予定は取り込みません。\nサイトについてそのような予定があるか、拒否された予定があれば、ほかをすべて取り込んだ上で、終了ステータスは 1 です。",
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
    ("Debian's package `watari` has all three in place.", "Debian パッケージ `watari` では 3 つとも設定済みです。"),
];
