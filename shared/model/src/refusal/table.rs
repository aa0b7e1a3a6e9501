//! The table: for each refusal its name and fields, code, class and whether to try again, then cause
//! and remedy in English and in Japanese. What is about networks, about images, about projects, about disks that are kept, and
//! about what is foreseen of outages, stands in files of their own.

mod disks;
mod images;
mod networks;
mod projects;
mod readiness;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use disks::with_disks;
use images::with_images;
use networks::with_networks;
use projects::with_projects;
use readiness::with_readiness;

use super::{Rendered, Retry, Status, japanese_of};
use crate::said::{Said, SaidSince, Words, filled};

with_readiness! { with_images! { with_projects! { with_networks! { with_disks! {
    // --- input -----------------------------------------------------------------------------
    /// The message is not the JSON that the subject takes.
    Malformed { detail } "request.malformed" 400 No
        en "the request cannot be read: {detail}" "send the JSON that `nats micro info` shows for this subject"
        ja "リクエストを読み取れません: {detail}" "送る JSON の形は `nats micro info` で確認できます";
    /// A name that is no DNS label.
    BadName { value } "request.bad-name" 400 No
        en "{value} is not a name" "use 1 to 63 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'"
        ja "{value} は名前として使えません" "英小文字、数字、ハイフンを 1 から 63 文字、先頭は英字、末尾はハイフン以外にしてください";
    /// A value is outside what the field takes.
    OutOfRange { field, value, allowed: Said } "request.out-of-range" 400 No
        en "{field} is {value}, which is not allowed" "for {field} give {allowed}"
        ja "{field} に {value} は指定できません" "{field} は {allowed} にしてください";
    /// A list has something more than once.
    Repeated { field, value } "request.repeated" 400 No
        en "{field} names {value} twice" "name {value} once"
        ja "{field} に {value} が 2 回指定されています" "{value} は 1 回だけ指定してください";
    /// The message is larger than a request may be.
    TooLarge { bytes, limit } "request.too-large" 400 No
        en "the request has {bytes} bytes" "keep requests below {limit} bytes"
        ja "リクエストの大きさが {bytes} バイトです" "リクエストは {limit} バイト未満にしてください";
    /// The same request_id came with other contents.
    RequestIdReused { request_id } "request.id-reused" 409 No
        en "request_id {request_id} was used before for something else" "use a new request_id for a new request"
        ja "request_id {request_id} は別のリクエストですでに使われています" "新しいリクエストには新しい request_id を付けてください";
    /// An action that the service does not know yet.
    Unsupported { what } "request.unsupported" 400 No
        en "{what} is not supported by this version" "see the README for what this version does"
        ja "この版は {what} に対応していません" "この版でできることは README をご覧ください";
    // --- servers ---------------------------------------------------------------------------
    /// A name is taken.
    VmExists { vm } "vm.exists" 409 No
        en "a server named {vm} exists already" "choose another name, or delete it first: watari vm delete {vm}"
        ja "サーバ {vm} はすでに存在します" "別の名前を選ぶか、先に削除してください: watari vm delete {vm}";
    /// No such server.
    VmUnknown { vm } "vm.unknown" 404 No
        en "there is no server named {vm}" "list the servers with: watari vm list"
        ja "サーバ {vm} はありません" "サーバの一覧は watari vm list で確認できます";
    /// The server's state does not allow it.
    VmState { vm, state, wanted } "vm.state" 409 No
        en "server {vm} is {state}, so that it cannot {wanted}" "look at it with `watari vm show {vm}` and wait, or start or stop it first"
        ja "サーバ {vm} は現在「{state}」のため、{wanted} を実行できません" "`watari vm show {vm}` で状態を確認し、待つか、先に起動または停止してください";
    /// A migration is under way.
    VmMigrating { vm, migration } "vm.migrating" 409 Later
        en "server {vm} is migrating ({migration})" "wait for it, or cancel it: watari migration cancel {migration}"
        ja "サーバ {vm} は移行中です ({migration})" "完了を待つか、取り消してください: watari migration cancel {migration}";
    /// Its node does not answer.
    VmUnreachable { vm, node } "vm.unreachable" 503 Later
        en "server {vm} is on node {node}, which does not answer" "check the node's power and network; nothing is started elsewhere before the node is known to be off"
        ja "サーバ {vm} のノード {node} が応答しません" "ノードの電源とネットワークを確認してください。ノードの停止が確実になるまで、ほかの場所では起動しません";
    /// An operator has said that its node is off, and its disk is there.
    VmStranded { vm, node } "vm.stranded" 503 Later
        en "the only disk of server {vm} is on node {node}, which is off" "bring the node back: the server starts there again by itself if it is to run; if it is lost: watari vm delete {vm}"
        ja "サーバ {vm} のディスクは停止中のノード {node} にしかありません" "ノードを復旧すると、稼働させる設定のサーバは自動で起動します。失われた場合は watari vm delete {vm} で削除してください";
    /// Its node was cut off, and has stopped it by itself.
    VmIsolated { vm, node } "vm.isolated" 503 Later
        en "node {node} is cut off, and has stopped server {vm} by itself, as its policy says" "restore the node's network: the server starts there again by itself if it is to run; its disk is nowhere else"
        ja "ノード {node} との通信が途絶え、サーバ {vm} は設定どおりそのノードで停止されました" "ノードのネットワークを復旧すると、稼働させる設定のサーバは自動で起動します。ディスクはそのノードにしかありません";
    /// Its guest was asked to shut down and has not.
    GuestHeedsNot { vm, waited: Said } "vm.not-shut-down" 409 Later
        en "the guest of server {vm} was asked to shut down and still runs after {waited}; it is asked again from time to time" "look at its console (watari vm console-log {vm}); it may lack ACPI or wait for something; to switch it off at once: watari vm stop {vm} --force"
        ja "サーバ {vm} のゲストにシャットダウンを求めましたが、{waited} たっても動いています。今後も繰り返し求めます" "コンソール (watari vm console-log {vm}) を確認してください。ACPI に対応していないか、何かを待っている可能性があります。すぐに切るには watari vm stop {vm} --force を実行します";
    /// It is to run and stands still on its node, for no order.
    VmStandsStill { vm, node, why: Said, help: SaidSince } "vm.stands-still" 503 Later
        en "server {vm} is to run and stands still on node {node}: {why}" "{help}; to start it anew at once: watari vm reboot {vm} --force"
        ja "サーバ {vm} は稼働中のはずですが、ノード {node} で止まっています: {why}" "{help}。すぐに起動し直すには watari vm reboot {vm} --force を実行してください";
    /// It is deleted but for its disk.
    DeletionWaits { vm, node } "vm.deletion-waits" 503 Later
        en "server {vm} is deleted and its addresses are free, but its disk is on node {node}, which is off" "it is removed when the node is back; if that will never be: watari node remove {node}"
        ja "サーバ {vm} は削除されアドレスも解放済みですが、ディスクが停止中のノード {node} に残っています" "ノードが復旧すると削除されます。復旧の見込みがなければ watari node remove {node} を実行してください";
    /// It was in a backup, and its node does not know it.
    RestoredNotFound { vm, node } "vm.restored-not-found" 409 No
        en "server {vm} came from a backup, and node {node}, where it was, does not have it any more" "if it was deleted since, delete it: watari vm delete {vm}; else wait for the nodes that are silent, which may have it, before you start it"
        ja "サーバ {vm} はバックアップから復元されましたが、元のノード {node} には存在しません" "その後に削除したサーバなら watari vm delete {vm} で削除してください。そうでなければ、応答のないノードにある可能性があるため、その復帰を待ってから起動してください";
    /// It was in a backup, and no node had it then.
    RestoredUnplaced { vm } "vm.restored-unplaced" 409 No
        en "server {vm} came from a backup that was made before it had a node; it may have got one since" "make sure that no node that is silent has it, then: watari vm start {vm}"
        ja "サーバ {vm} は、ノードに配置される前のバックアップから復元されました。その後に配置された可能性があります" "応答のないノードに存在しないことを確認してから watari vm start {vm} を実行してください";
    /// Only the disk of one that runs is sent ahead.
    PreseedNotRunning { vm, state } "vm.preseed-not-running" 409 No
        en "server {vm} is {state}, and only the disk of a running server is sent ahead" "start it first: watari vm start {vm} --wait"
        ja "サーバ {vm} は現在「{state}」です。ディスクを事前転送できるのは稼働中のサーバだけです" "先に起動してください: watari vm start {vm} --wait";
    /// An operator took it back.
    PreseedCancelled { vm } "vm.preseed-cancelled" 409 No
        en "the disk of server {vm} is not sent ahead any more: that was called off" "ask for it again with: watari vm preseed {vm}"
        ja "サーバ {vm} のディスクの事前転送は取り消されました" "もう一度転送するには watari vm preseed {vm} を実行してください";
    /// Servers would wait for each other.
    AfterCycle { vm, chain } "vm.after-cycle" 409 No
        en "server {vm} would depend on itself: {chain}" "leave out one of these dependencies: --after names all on which a server depends, --no-after none; in a file `after` does"
        ja "サーバ {vm} が自分自身に依存することになります: {chain}" "このうち 1 つの依存を外してください。--after には依存先をすべて指定し、依存先がなければ --no-after を指定します。ファイルでは after に書きます";
    /// What it depends on is off.
    AfterOff { vm, off } "vm.after-off" 409 No
        en "server {vm} depends on {off}, which is to be off: nothing waits for what is off" "to have it waited for, start it: watari vm start NAME"
        ja "サーバ {vm} の依存先 {off} は停止する設定です。停止しているサーバは待ちません" "待たせるには、依存先を起動してください: watari vm start 名前";
    /// Others depend on it.
    DependedOn { vm, users } "vm.depended-on" 409 No
        en "servers depend on {vm}: {users}" "delete them first, or take the dependency away: watari vm edit NAME --no-after"
        ja "サーバ {vm} に依存しているサーバがあります: {users}" "先にそれらを削除するか、依存を外してください: watari vm edit 名前 --no-after";
    // --- snapshots -------------------------------------------------------------------------
    /// A name is taken.
    SnapshotExists { vm, snapshot } "snapshot.exists" 409 No
        en "server {vm} has a snapshot named {snapshot} already" "choose another name, or delete it first: watari vm snapshot delete {vm} {snapshot}"
        ja "サーバ {vm} にはスナップショット {snapshot} がすでにあります" "別の名前を選ぶか、先に削除してください: watari vm snapshot delete {vm} {snapshot}";
    /// No such snapshot.
    SnapshotUnknown { vm, snapshot } "snapshot.unknown" 404 No
        en "server {vm} has no snapshot named {snapshot}" "list them with: watari vm snapshot list {vm}"
        ja "サーバ {vm} にスナップショット {snapshot} はありません" "一覧は watari vm snapshot list {vm} で確認できます";
    /// Each keeps a layer of the disk to itself.
    SnapshotLimit { vm, most } "snapshot.limit" 409 No
        en "server {vm} has {most} snapshots, the most that its disk takes" "delete one first: watari vm snapshot delete {vm} NAME; what is to be kept for longer is saved as an image: watari vm save {vm} --as IMAGE"
        ja "サーバ {vm} のスナップショットは上限の {most} 個に達しています" "先に 1 つ削除してください: watari vm snapshot delete {vm} 名前。長く残すものは watari vm save {vm} --as イメージ でイメージとして保存してください";
    /// Somebody has its console open.
    ConsoleHeld { vm, by: Said } "console.held" 409 No
        en "the console of server {vm} is in use by {by}" "wait until they have left it, or take it over: watari vm console {vm} --force"
        ja "サーバ {vm} のコンソールは {by} が使用中です" "使い終わるのを待つか、引き継いでください: watari vm console {vm} --force";
    /// It was taken over, was not used for a while, or its server has gone off or elsewhere.
    ConsoleOver { vm, node } "console.over" 409 No
        en "the session at the console of server {vm} on node {node} is over" "open it again: watari vm console {vm}"
        ja "ノード {node} でのサーバ {vm} のコンソール接続は終わっています" "もう一度開いてください: watari vm console {vm}";
    /// It runs with a definition of before there were consoles.
    ConsoleReadOnly { vm } "console.read-only" 409 No
        en "server {vm} was started by an earlier version, and its console can only be read" "stop it and start it again, since a reboot is not enough: watari vm stop {vm} --wait; watari vm start {vm}; until then: watari vm console-log {vm}"
        ja "サーバ {vm} は以前の版で起動されたため、コンソールは読むことしかできません" "一度停止して起動してください (再起動では変わりません): watari vm stop {vm} --wait; watari vm start {vm}。それまでは watari vm console-log {vm} で読めます";
    /// It was made without a video device, and that stays so.
    NoDisplay { vm } "screen.no-display" 409 No
        en "server {vm} has no display: it was made without --display" "read what it wrote to its serial console (watari vm console-log {vm}), or make a server anew with: watari vm create NAME --display"
        ja "サーバ {vm} は --display を付けずに作成されたため、ディスプレイがありません" "シリアルコンソールのログ (watari vm console-log {vm}) を確認するか、watari vm create 名前 --display でサーバを作り直してください";
    /// A node's QEMU lacks the device.
    NoVideo { vm, node } "screen.no-device" 409 Later
        en "server {vm} has a display, and QEMU on node {node} has no VGA device for it" "install the node's QEMU as Debian and Ubuntu build it (qemu-system-x86), or send the server to another node"
        ja "サーバ {vm} にはディスプレイがありますが、ノード {node} の QEMU には VGA デバイスがありません" "Debian または Ubuntu の QEMU (qemu-system-x86) をそのノードにインストールするか、サーバを別のノードへ移してください";
    /// One that is asked for is not there yet.
    SnapshotNotTaken { vm, snapshot } "snapshot.not-taken" 409 Later
        en "snapshot {snapshot} of server {vm} is not taken yet" "wait for it, or give it up: watari vm snapshot delete {vm} {snapshot}"
        ja "サーバ {vm} のスナップショット {snapshot} はまだ作成されていません" "完了を待つか、取りやめてください: watari vm snapshot delete {vm} {snapshot}";
    /// A disk goes back only under a server that is off.
    RevertNotStopped { vm, state } "snapshot.not-stopped" 409 No
        en "server {vm} is {state}, and its disk goes back to a snapshot only while it is stopped" "stop it first: watari vm stop {vm} --wait (a suspended one with --force, which gives up its memory)"
        ja "サーバ {vm} の状態は「{state}」です。スナップショットに戻せるのは停止中だけです" "先に停止してください: watari vm stop {vm} --wait (休止中なら --force を付けます。メモリの内容は失われます)";
    /// Nobody starts or changes it meanwhile.
    DiskReverting { vm, snapshot } "snapshot.reverting" 409 Later
        en "the disk of server {vm} is just going back to snapshot {snapshot}" "wait until that is over; see `watari vm show {vm}`"
        ja "サーバ {vm} のディスクをスナップショット {snapshot} に戻しているところです" "完了を待ってください。経過は `watari vm show {vm}` で確認できます";
    /// The disk does not stand on what the snapshot is.
    SnapshotLayerMissing { vm, node } "snapshot.layer-missing" 409 No
        en "on node {node} the disk of server {vm} does not stand on the layer of this snapshot; nothing was changed" "the snapshot is lost, perhaps since a backup was restored: delete it (watari vm snapshot delete) and go back to another one or to a saved image"
        ja "ノード {node} にあるサーバ {vm} のディスクには、このスナップショットの層がありません。何も変更していません" "このスナップショットは、バックアップの復元などで失われています。watari vm snapshot delete で削除し、別のスナップショットか保存したイメージを使ってください";
    /// The disk stands on as many layers as it may.
    SnapshotLayersFull { vm, most } "snapshot.layers-full" 409 Later
        en "the disk of server {vm} stands on {most} layers or more, and a snapshot would be one too many" "let the server run, so that layers are merged, or delete a snapshot: watari vm snapshot list {vm}; it is tried again"
        ja "サーバ {vm} のディスクはすでに {most} 層以上あるため、スナップショットを追加できません" "サーバを起動すると層が統合されます。または不要なスナップショットを削除してください: watari vm snapshot list {vm}。自動で再試行します";
    // --- placement -------------------------------------------------------------------------
    /// No node can take the server.
    NoRoom { vm, detail: Said, help: SaidSince } "placement.no-room" 507 Later
        en "no node can take server {vm}: {detail}" "free or add capacity, or relax the server's placement; `watari node list` shows what is free{help}"
        ja "サーバ {vm} を置けるノードがありません: {detail}" "空きを作るかノードを追加するか、配置条件を緩めてください。空きは `watari node list` で確認できます{help}";
    /// No node could take the server, were it empty.
    VmTooLarge { vm, detail: Said } "placement.too-large" 507 No
        en "no node could ever take server {vm}: {detail}" "ask for less (--vcpus, --memory), or add a node that is large enough first; `watari node list` shows what each has"
        ja "サーバ {vm} は、どのノードにも収まりません: {detail}" "小さくする (--vcpus、--memory) か、先に十分な大きさのノードを追加してください。各ノードの大きさは `watari node list` で確認できます";
    /// A node that exists was asked for, but it cannot be used.
    NodeUnfit { node, detail: Said } "placement.node-unfit" 409 Later
        en "node {node} cannot take the server: {detail}" "choose another node or leave out --to; `watari node show {node}` tells more"
        ja "ノード {node} にはこのサーバを置けません: {detail}" "別のノードを選ぶか --to を省いてください。詳しくは `watari node show {node}` で確認できます";
    /// No node that may take the server has the firmware by which it boots.
    NoUefi { vm, nodes } "placement.no-uefi" 409 Later
        en "server {vm} boots by UEFI, which these nodes lack: {nodes}" "install UEFI firmware there: apt-get install ovmf; each node's agent finds it within a few seconds (watari node show)"
        ja "サーバ {vm} は UEFI で起動しますが、ノード {nodes} には UEFI ファームウェアがありません" "そのノードで apt-get install ovmf を実行してください。エージェントが数秒で検出します (watari node show で確認できます)";
    /// What the server's disk stands on is nowhere to be had.
    NoImage { vm, image } "placement.no-image" 409 Later
        en "server {vm} stands on image {image}, of which no front end has a copy and which no node that could take it keeps" "bring back the front end that had it (watari image show {image}), or import the very same file once more: watari image import FILE --name {image}-again"
        ja "サーバ {vm} の土台であるイメージ {image} は、どのフロントエンドにも複製がなく、受け入れられるノードにもありません" "複製のあったフロントエンドを復旧するか (watari image show {image})、同じファイルをもう一度取り込んでください: watari image import ファイル --name {image}-again";
    /// Its guest could live on no other node's processor.
    NoProcessor { vm, detail: Said } "placement.no-processor" 409 Later
        en "server {vm} could live on the processor of no other node: {detail}" "set one model for all nodes in the section [cpu] of their node-agent.toml, restart their agents, and then the server: watari vm reboot {vm}"
        ja "サーバ {vm} が動作を続けられる CPU のノードがほかにありません: {detail}" "すべてのノードの node-agent.toml の [cpu] に共通のモデルを設定し、エージェントを再起動してから、サーバを再起動してください: watari vm reboot {vm}";
    /// No node brings its networks.
    NetworkUnbound { vm, detail: Said } "placement.network-unbound" 409 Later
        en "no node that could take server {vm} brings its networks: {detail}" "give a node there what it lacks: a bridge under [networks.segments] or the tunnel's address in its node-agent.toml, VLANs in its kernel; then restart its agent. `watari node show NODE` tells what it brings"
        ja "サーバ {vm} のネットワークに接続できるノードがありません: {detail}" "不足しているものをノードに用意し (node-agent.toml の [networks.segments] のブリッジやトンネルのアドレス、カーネルの VLAN 機能)、エージェントを再起動してください。`watari node show ノード` で確認できます";
    /// It is bound to a label, which no node has.
    NoLabel { vm, detail: Said } "placement.no-label" 409 Later
        en "server {vm} is bound to a label that no node has which could take it: {detail}" "give a node there the label, under [labels] in its node-agent.toml, and restart its agent; or agree that it stays: watari vm edit {vm} --evacuate stay"
        ja "サーバ {vm} に必要なラベルを持つノードがありません: {detail}" "ノードの node-agent.toml の [labels] にラベルを追加し、エージェントを再起動してください。残してよければ watari vm edit {vm} --evacuate stay を実行します";
    /// No such node.
    NodeUnknown { node } "node.unknown" 404 No
        en "there is no node named {node}" "list the nodes with: watari node list"
        ja "ノード {node} はありません" "ノードの一覧は watari node list で確認できます";
    /// It beats, or did a moment ago.
    NodeNotLost { node, state } "node.not-lost" 409 Later
        en "node {node} is {state}, so that nobody can know it to be off" "wait until it is lost (watari node show {node}); one that is heard is emptied with: watari node drain {node}"
        ja "ノード {node} の状態は「{state}」で、停止しているとは言えません" "「応答なし」になるまで待ってください (watari node show {node})。応答のあるノードは watari node drain {node} で空にします";
    /// Nobody has said that it is off.
    NodeNotOff { node } "node.not-off" 409 No
        en "nobody has said that node {node} is off" "look at its power, then: watari node confirm-off {node}"
        ja "ノード {node} の停止がまだ確認されていません" "電源を確認してから watari node confirm-off {node} を実行してください";
    /// Its power is nobody's to switch.
    FencingMissing { node } "fencing.missing" 409 No
        en "no power command is configured for node {node}" "add [[fencing]] to monitor.toml on every front end, or switch it by hand; once it is off: watari node confirm-off {node}"
        ja "ノード {node} の電源を操作するコマンドが設定されていません" "全フロントエンドの monitor.toml に [[fencing]] を加えるか、手動で操作してください。電源を切った後は watari node confirm-off {node} で知らせます";
    /// The power controller does not say that it is so.
    FencingFailed { node, detail: Said } "fencing.failed" 503 Later
        en "the power of node {node} is not known to be as wanted: {detail}" "run the [[fencing]] commands of monitor.toml by hand on the front end that leads; once it is off: watari node confirm-off {node}"
        ja "ノード {node} の電源が指示どおりになったことを確認できません: {detail}" "主系のフロントエンドで monitor.toml の [[fencing]] のコマンドを手動で試してください。電源を切った後は watari node confirm-off {node} で知らせます";
    /// It looks like the network.
    FencingWithheld { site, silent, nodes } "fencing.withheld" 409 Later
        en "{silent} of {nodes} nodes of site {site} are silent at once, which looks like its network: nobody is fenced" "mend the network of {site}; of nodes that really are off say so: watari node confirm-off NODE"
        ja "サイト {site} のノード {nodes} 台のうち {silent} 台が同時に応答していません。ネットワークの障害とみなし、電源は切りません" "{site} のネットワークを確認してください。実際に電源が切れているノードは watari node confirm-off ノード で知らせてください";
    /// Something lives on it.
    NodeNotEmpty { node, domains } "node.not-empty" 409 Later
        en "node {node} is not empty: {domains}" "what is there must leave or stop first: see `watari vm list --node {node}`, and `virsh list` on the node for what Watari did not make"
        ja "ノード {node} は空ではありません: {domains}" "先に移動または停止してください。`watari vm list --node {node}` のほか、Watari の管理外のものはノード上の `virsh list` で確認できます";
    /// Neither its agent nor a power controller can.
    ShutDownMissing { node } "node.shut-down-missing" 409 No
        en "no program is configured that shuts node {node} down" "set shut_down under [power] of its node-agent.toml, as in [\"systemctl\", \"poweroff\"], and restart the agent; or add [[fencing]] to monitor.toml; or shut it down by hand"
        ja "ノード {node} を停止するプログラムが設定されていません" "node-agent.toml の [power] に shut_down を、たとえば [\"systemctl\", \"poweroff\"] と設定してエージェントを再起動するか、monitor.toml に [[fencing]] を加えるか、手動で停止してください";
    /// The program did not do it.
    ShutDownFailed { node, detail: Said } "node.shut-down-failed" 503 Later
        en "node {node} could not be shut down: {detail}" "run the program of [power] in its node-agent.toml by hand on the node"
        ja "ノード {node} を停止できませんでした: {detail}" "node-agent.toml の [power] のプログラムを、ノード上で手動で試してください";
    /// It was told to, and time is over.
    NodeStillOn { node, detail: Said } "node.still-on" 503 Later
        en "node {node} was told to shut down and is not known to be off: {detail}" "see its console; if it is off, nothing more needs doing; to have it tried again: watari outage shut-down OUTAGE"
        ja "ノード {node} に停止を指示しましたが、停止を確認できません: {detail}" "コンソールを確認してください。電源が切れていれば、ほかに必要な操作はありません。再試行するには watari outage shut-down 停電計画 を実行します";
    /// Who decides would go with it.
    NodeIsFrontEnd { node } "node.front-end" 409 No
        en "node {node} is also the host of a front end or witness, which is never shut down from here" "shut it down by hand once `watari outage show` says that the site's other nodes are off"
        ja "ノード {node} はフロントエンドまたは立会役のホストでもあるため、ここからは停止しません" "`watari outage show` でサイトのほかのノードの停止を確認した後、手動で停止してください";
    /// It is waited for, or was.
    NodeNotBack { node, detail: Said } "node.not-back" 503 Later
        en "node {node} is not back: {detail}" "see its power and its console, and `watari doctor`; servers come home without it meanwhile if it takes too long"
        ja "ノード {node} が復帰していません: {detail}" "電源とコンソール、`watari doctor` を確認してください。時間がかかる場合、サーバはこのノードを除いて帰還します";
    /// Servers' only disks are there.
    NodeHasServers { node, vms } "node.has-servers" 409 No
        en "servers belong to node {node}, or copies of them: {vms}" "delete those whose disk is lost: watari vm delete; those that run elsewhere give up their old copies by themselves once they are running"
        ja "ノード {node} に属するサーバまたはその複製があります: {vms}" "ディスクを失ったサーバは watari vm delete で削除してください。別の場所で動いているサーバの古い複製は、動作中に自動で整理されます";
    /// No such site.
    SiteUnknown { site } "site.unknown" 404 No
        en "there is no site named {site}" "list the sites with: watari site list"
        ja "サイト {site} はありません" "サイトの一覧は watari site list で確認できます";
    /// The site is being emptied or is empty already.
    SiteDraining { site, outage } "site.draining" 409 No
        en "site {site} is being evacuated or is evacuated ({outage})" "do it after the outage, once its servers are home; to bring them home: watari site return {site}"
        ja "サイト {site} は退避中または退避済みです ({outage})" "停電が終わり、帰還を終えた後に行ってください。帰還させるには: watari site return {site}";
    /// The only other site is leaving as well.
    NoRefuge { site } "site.no-refuge" 409 Later
        en "no other site can receive the servers of {site}" "bring the other site home first, once its power is back (watari site return SITE; `watari site list` shows them), or add nodes there"
        ja "{site} のサーバを受け入れられるサイトがほかにありません" "停電が終わっていれば先にほかのサイトを帰還させる (watari site return サイト名。一覧は `watari site list`) か、そこにノードを追加してください";
    // --- migration -------------------------------------------------------------------------
    /// No such migration.
    MigrationUnknown { migration } "migration.unknown" 404 No
        en "there is no migration {migration}" "list them with: watari migration list"
        ja "移行 {migration} はありません" "一覧は watari migration list で確認できます";
    /// Too late to cancel.
    MigrationOver { migration, state } "migration.over" 409 No
        en "migration {migration} is {state} and can no longer be cancelled" "move the server back with: watari vm migrate"
        ja "移行 {migration} は {state} のため、もう取り消せません" "watari vm migrate でサーバを戻してください";
    /// It is where it should go.
    AlreadyThere { vm, node } "migration.already-there" 409 No
        en "server {vm} is on node {node} already" "choose another node, or leave out --to"
        ja "サーバ {vm} はすでにノード {node} にあります" "別のノードを選ぶか --to を省いてください";
    /// libvirt or QEMU ended the migration.
    MigrationFailed { vm, node, detail } "migration.failed" 503 Later
        en "moving server {vm} to node {node} failed and it goes on where it was: {detail}" "see `watari node show {node}` and the agent's log, then try again"
        ja "サーバ {vm} のノード {node} への移行は失敗し、サーバは元の場所で動き続けています: {detail}" "`watari node show {node}` とエージェントのログを確認し、もう一度実行してください";
    /// Both nodes are there, and nothing got across.
    MigrationStalled { vm, node, seconds } "migration.stalled" 503 Later
        en "nothing of server {vm} got across to node {node} for {seconds} s: its copy was broken off, and it goes on where it was" "look whether something drops packets between the two nodes on the migration network, and whether the disk of node {node} still takes data; then try again"
        ja "サーバ {vm} のノード {node} への転送が {seconds} 秒間まったく進まなかったため中止しました。サーバは元の場所で動き続けています" "移行用ネットワークで 2 台のノードの間のパケットが失われていないか、ノード {node} のディスクに書き込めるかを確認し、もう一度実行してください";
    /// An operator cancelled it.
    MigrationCancelled { vm } "migration.cancelled" 409 No
        en "the migration of server {vm} was cancelled; it goes on where it was" "start it again with: watari vm migrate {vm}"
        ja "サーバ {vm} の移行は取り消され、サーバは元の場所で動き続けています" "再開するには watari vm migrate {vm} を実行してください";
    /// The target went away.
    TargetLost { vm, node } "migration.target-lost" 503 Later
        en "node {node} stopped answering while server {vm} was moving there; the server goes on where it was" "check node {node}, then try again"
        ja "サーバ {vm} の移行先ノード {node} が応答しなくなりました。サーバは元の場所で動き続けています" "ノード {node} を確認してから、もう一度実行してください";
    /// It runs at the target, but the guest answers no more.
    ServerUnanswering { vm, node, from } "migration.unanswering" 503 No
        en "server {vm} runs on node {node} since its migration but does not answer at its address, as it did before" "see `watari vm console-log {vm}` and the bridge of node {node}; it moves back by: watari vm migrate {vm} --to {from}"
        ja "サーバ {vm} は移行後ノード {node} で動いていますが、移行前と違ってそのアドレスで応答しません" "`watari vm console-log {vm}` とノード {node} のブリッジを確認してください。戻すには watari vm migrate {vm} --to {from} を実行します";
    /// The server's own policy says that it stays.
    PolicyStays { vm } "outage.policy-stays" 409 No
        en "server {vm} does not leave: its policy is `evacuate: stay`" "stop it before the power goes (watari vm stop {vm}), or let it leave: watari vm edit {vm} --evacuate live"
        ja "サーバ {vm} は方針 `evacuate: stay` により退避しません" "電源が切れる前に watari vm stop {vm} で停止するか、watari vm edit {vm} --evacuate live で退避の対象にしてください";
    /// The power goes before it could have left.
    NoTime { vm, detail: Said } "outage.no-time" 409 No
        en "there is no time for server {vm} to leave: {detail}" "as far as there is time for it, it is suspended or shut down before the power goes, and it is started again when the outage is over; a higher priority goes first, and a disk that is sent ahead takes less time (watari vm preseed {vm})"
        ja "サーバ {vm} を退避する時間がありません: {detail}" "時間の許す限り、電源が切れる前に休止または停止し、停電の終了後に再び起動します。優先度を高くするか、ディスクを事前転送 (watari vm preseed {vm}) しておくと退避できる可能性が上がります";
    /// A server that is not running cannot cross live.
    NotRunning { vm, state } "outage.not-running" 409 No
        en "server {vm} is {state} and cannot cross live" "start it, or leave it: its disk stays where it is"
        ja "サーバ {vm} は {state} のため、稼働したまま移すことができません" "起動するか、そのままにしてください。ディスクは今の場所に残ります";
    // --- outages ---------------------------------------------------------------------------
    /// No such outage.
    OutageUnknown { outage } "outage.unknown" 404 No
        en "there is no outage {outage}" "list the outages with: watari outage list"
        ja "停電計画 {outage} はありません" "停電計画の一覧は watari outage list で確認できます";
    /// It has ended, or begun and turned back.
    OutageOver { outage, state, again } "outage.over" 409 No
        en "outage {outage} is {state} and cannot be started" "do it without a schedule ({again}), or schedule another outage"
        ja "停電計画 {outage} は {state} のため開始できません" "{again} ですぐに退避させるか、停電計画を新しく作成してください";
    /// It has ended: there is nothing of it to go through beforehand.
    OutageNotRehearsed { outage, state, again } "outage.not-rehearsed" 409 No
        en "outage {outage} is {state} and cannot be rehearsed" "rehearse an evacuation that would begin now: {again}"
        ja "停電計画 {outage} は {state} のため予行できません" "いま退避を始める場合の予行は {again} で行えます";
    /// Nothing of it is on its way, so that there is nothing to pause or to go on with.
    OutageNotUnderWay { outage, state } "outage.not-under-way" 409 No
        en "outage {outage} is {state}; only one whose servers leave or come home can be paused and resumed" "look at it with `watari outage show {outage}`; the servers of an evacuated site come home with: watari site return SITE"
        ja "停電計画 {outage} は {state} です。一時停止と再開ができるのは、退避中または帰還中の計画だけです" "`watari outage show {outage}` で確認してください。退避済みのサイトのサーバを帰還させるには watari site return サイト名 を実行します";
    /// Nobody's nodes go off for it, or not any more.
    ShutDownNotNow { outage, state } "outage.no-shut-down" 409 No
        en "outage {outage} is {state}; nodes are shut down only for a site that is to be emptied, is being emptied, or is empty" "see `watari outage list`; one node's power is switched with: watari node power NODE --off"
        ja "停電計画 {outage} は {state} です。ノードを停止できるのは、退避の予定されたサイト、退避中または退避済みのサイトだけです" "`watari outage list` を確認してください。ノード 1 台の電源は watari node power ノード --off で操作します";
    /// It has begun or is over, so that its time stands.
    OutageNotScheduled { outage, state } "outage.not-scheduled" 409 No
        en "outage {outage} is {state}; only one that is scheduled can be moved to another time" "schedule another outage; one that is under way is called off with: watari outage cancel {outage}"
        ja "停電計画 {outage} は {state} です。日時を変更できるのは開始前の計画だけです" "停電計画を新しく作成してください。進行中の計画は watari outage cancel {outage} で取り消せます";
    /// The site has another one at that time.
    OutageOverlaps { site, outage } "outage.overlaps" 409 No
        en "site {site} has an outage at that time already: {outage}" "choose another time, or call off what is there, each by its own ID: watari outage cancel ID"
        ja "サイト {site} のその時間帯にはすでに停電計画 {outage} があります" "別の時間帯にするか、watari outage cancel ID でそれぞれ取り消してください";
    /// Every site would be dark at once.
    OutageEverywhere { site, outage } "outage.everywhere" 409 No
        en "while site {site} is dark, {outage} makes the last other site dark too, and no site is left for the servers" "choose a time that does not overlap with that of {outage}"
        ja "サイト {site} の停電中に {outage} でほかのサイトもすべて停電し、サーバの行き先がなくなります" "{outage} と重ならない時間帯にしてください";
    /// Nothing to bring home.
    NothingToReturn { site } "site.nothing-to-return" 409 No
        en "site {site} is not evacuated and all its servers are at home" "nothing needs doing"
        ja "サイト {site} は退避しておらず、サーバはすべて本来の場所にあります" "何もする必要はありません";
    // --- front ends ------------------------------------------------------------------------
    /// Nobody there could lead.
    NoStandby { site, services } "frontend.no-standby" 409 Later
        en "at site {site} no standby of {services} is ready to lead" "see `watari frontend status`; start the services of the front end at {site}"
        ja "サイト {site} には主系になれる待機系 ({services}) がありません" "`watari frontend status` を確認し、{site} のフロントエンドのサービスを起動してください";
    /// No other front end is there.
    ControlNowhere { site } "frontend.nowhere" 409 Later
        en "the services cannot be led from elsewhere while site {site} is dark: no other site has a front end whose services are ready" "start the other front end, then repeat: watari site evacuate {site}"
        ja "サイト {site} の停電中にサービスの主系になれるフロントエンドがほかにありません" "もう一方のフロントエンドを起動してから、もう一度 watari site evacuate {site} を実行してください";
    /// It did not get done in time.
    ControlNotMoved { site, detail } "frontend.not-moved" 503 Later
        en "the services are not led from {site}: {detail}" "see `watari frontend status`; when that is mended: watari frontend promote {site}"
        ja "サービスの主系が {site} に移っていません: {detail}" "`watari frontend status` を確認し、直してから watari frontend promote {site} を実行してください";
    // --- keys ------------------------------------------------------------------------------
    /// A name is taken.
    KeyExists { key } "key.exists" 409 No
        en "a key named {key} exists already and is another one" "choose another name, or delete it first: watari key delete {key}"
        ja "鍵 {key} はすでに存在し、内容が異なります" "別の名前を選ぶか、先に削除してください: watari key delete {key}";
    /// No such key.
    KeyUnknown { key } "key.unknown" 404 No
        en "there is no key named {key}" "list the keys with: watari key list"
        ja "鍵 {key} はありません" "鍵の一覧は watari key list で確認できます";
    /// The text is no public key that is taken.
    KeyRefused { key, detail: Said } "key.refused" 400 No
        en "the text for key {key} is refused: {detail}" "give the one line of a .pub file, as `ssh-keygen -t ed25519` makes it"
        ja "鍵 {key} の内容は受け付けられません: {detail}" "`ssh-keygen -t ed25519` が作る .pub ファイルの 1 行を指定してください";
    /// A private key was given: it must not stay secret only by luck.
    KeyPrivate { key } "key.private" 400 No
        en "the text for key {key} is a private key; it was not kept" "give the file that ends in .pub; if others could see what you sent, make a new pair with `ssh-keygen -t ed25519`"
        ja "鍵 {key} の内容は秘密鍵です。保存していません" "末尾が .pub のファイルを指定してください。送った内容が他人に見えた可能性があれば `ssh-keygen -t ed25519` で作り直してください";
    /// As many keys as may be.
    KeysFull { limit } "key.full" 507 No
        en "there are {limit} keys, as many as may be" "delete keys that nobody uses: watari key list"
        ja "鍵はすでに上限の {limit} 個あります" "使われていない鍵を削除してください。一覧は watari key list で確認できます";
    /// User-data that cloud-init could not use.
    UserDataRefused { detail: Said } "vm.user-data-refused" 400 No
        en "the user-data is refused: {detail}" "begin it with #cloud-config, with #! and a program, or as a multipart message; keep it below 64 KiB"
        ja "user-data は受け付けられません: {detail}" "1 行目を #cloud-config、#! とプログラム名、または multipart 形式とし、64 KiB 以下にしてください";
    /// What a server is to be told on its first boot is not there.
    UserDataMissing { vm } "vm.user-data-missing" 503 Later
        en "the user-data of server {vm} cannot be read, and without it its first boot would go wrong" "look for alarms of the bucket userdata; if it is lost, delete the server and make it again"
        ja "サーバ {vm} の user-data を読み取れません。このまま初回起動すると正しく設定されません" "userdata バケットの警報を確認してください。失われた場合は、サーバを削除して作り直してください";
    // --- history ---------------------------------------------------------------------------
    /// The history file cannot be read; everything else goes on.
    HistoryUnavailable { detail } "history.unavailable" 503 Later
        en "the history cannot be read at present: {detail}" "check the disk, or the PostgreSQL server, under [history] of monitor.toml; nodes and servers are not affected"
        ja "現在、履歴を読み取れません: {detail}" "monitor.toml の [history] のディスクまたは PostgreSQL サーバを確認してください。ノードとサーバには影響ありません";
    // --- agents ----------------------------------------------------------------------------
    /// The command carries an epoch or generation that has been overtaken.
    Stale { what, seen, given } "agent.stale" 409 No
        en "the order carries {what} {given}, but {seen} has been seen" "the sender has been replaced and must stand down; nothing was done"
        ja "届いた指示の {what} は {given} ですが、すでに {what} {seen} の指示を受け取っています" "送信元の役割は別のプロセスに移っているため、送信元は停止しなければなりません。何も実行していません";
    /// The agent cannot do that in the present state of the domain.
    AgentState { vm, node, state, wanted } "agent.state" 409 Later
        en "on node {node} the domain of server {vm} is {state}, so that it cannot {wanted}" "the scheduler tries again; look at `watari vm show {vm}`"
        ja "ノード {node} 上のサーバ {vm} は「{state}」の状態のため、{wanted} を実行できません" "スケジューラが再試行します。`watari vm show {vm}` で確認してください";
    /// A domain of that name is there, and it is another server's.
    NameTaken { vm, node, uuid } "agent.name-taken" 409 Later
        en "on node {node} the name {vm} belongs to the domain of another server, with UUID {uuid}, that nobody has deleted" "make sure that nobody needs that server, then run on node {node}: virsh undefine --keep-nvram {vm}; its disk stays; or give the new server another name"
        ja "ノード {node} では、別のサーバ (UUID {uuid}) のドメインが名前 {vm} を使っており、そのサーバは削除されていません" "そのサーバが不要であることを確認し、ノード {node} で virsh undefine --keep-nvram {vm} を実行してください (ディスクは残ります)。または新しいサーバを別の名前で作成してください";
    /// Frozen layers of a server's disk are not at the target.
    LayersMissing { vm, node } "agent.layers-missing" 409 Later
        en "node {node} lacks a part of the disk of server {vm} that was to be there before its memory moves" "the scheduler sends it and tries again; look at `watari vm show {vm}`"
        ja "ノード {node} には、サーバ {vm} のメモリを移す前に届いているはずのディスクの一部がありません" "スケジューラが送り直して再試行します。`watari vm show {vm}` で確認してください";
    /// libvirt refused.
    Hypervisor { node, detail } "agent.hypervisor" 503 Later
        en "libvirt on node {node}: {detail}" "on that node: journalctl -u watari-agent -u libvirtd -n 50"
        ja "ノード {node} の libvirt: {detail}" "そのノードで journalctl -u watari-agent -u libvirtd -n 50 を実行し、ログを確認してください";
    /// No room on the node's disk.
    DiskFull { node, detail } "agent.disk-full" 507 Later
        en "the disk of node {node} has no room: {detail}" "free space in the agent's data folder"
        ja "ノード {node} のディスクに空きがありません: {detail}" "エージェントのデータフォルダの空きを増やしてください";
    /// Nobody answered.
    NoAnswer { who } "bus.no-answer" 503 Later
        en "{who} did not answer in time; whether it acted is not known" "repeat the request: with the same request_id (--request-id) it is not done twice"
        ja "{who} から時間内に応答がありませんでした。実行されたかどうかは不明です" "もう一度実行してください。同じ request_id (--request-id) なら二重には実行されません";
    /// The service is there but does not lead.
    NotPrimary { service } "bus.not-primary" 503 Later
        en "this {service} is a standby and another one leads" "repeat the request; it reaches the primary"
        ja "この {service} は待機系で、主系は別のプロセスです" "もう一度送ってください。主系に届きます";
    /// Something that should not happen did.
    Internal { detail } "internal" 500 Later
        en "an unexpected fault: {detail}" "repeat it; if it stays, see the service's log and report it"
        ja "予期しない障害です: {detail}" "もう一度実行してください。続く場合は、サービスのログを確認して報告してください";
} } } } }
