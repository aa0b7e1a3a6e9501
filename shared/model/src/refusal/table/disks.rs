//! The rows of the table that are about disks of which there is more than one: kept ones, and those of lost nodes; and
//! about files that are not as they were made.

/// Makes the table of its rows and those of this file.
macro_rules! with_disks {
    ($($rows:tt)*) => {
        refusals! {
            $($rows)*
            // --- disks -----------------------------------------------------------------------------
            /// Two kept disks would be called the same.
            DiskNameTaken { vm, disk, node } "disk.name-taken" 409 No
                en "the disk of server {vm} cannot be kept as {disk}: an earlier one of that name is on node {node}, from before the server was started from a copy" "see `watari disk list`: delete that one (watari disk delete {disk}) or begin a server with it (watari vm create NAME --from-disk {disk}), and ask again; what never ran on its copy goes back to that disk first (watari vm start {vm} --discard-copy); or delete {vm} with its disk"
                ja "サーバ {vm} のディスクは {disk} として残せません。複製から起動する前の同名のディスクがノード {node} にあります" "`watari disk list` で確認し、そのディスクを削除するか (watari disk delete {disk})、別のサーバで使ってから (watari vm create 名前 --from-disk {disk})、もう一度実行してください。複製からまだ起動していない場合は、先に元のディスクに戻せます (watari vm start {vm} --discard-copy)。または {vm} をディスクごと削除してください";
            /// There is no copy to be given up.
            NoCopyToDiscard { vm } "vm.no-copy-to-discard" 409 No
                en "server {vm} is not waiting to come up on a copy, so that there is none to give up" "see `watari vm show {vm}`; once it has run on its copy, the disk that it had before becomes a kept disk: watari disk list"
                ja "サーバ {vm} は複製からの起動を待っていないため、取りやめる複製がありません" "`watari vm show {vm}` で確認してください。複製から一度でも起動したサーバの元のディスクは、残したディスクになります: watari disk list";
            /// The node with the disk from before is not heard.
            DiskBeforeSilent { vm, node } "vm.disk-before-silent" 503 Later
                en "the disk that server {vm} had before is on node {node}, which does not answer" "bring that node back first: watari node show {node}; nothing was changed"
                ja "サーバ {vm} の元のディスクのあるノード {node} が応答しません" "先にそのノードを復旧してください: watari node show {node}。何も変更していません";
            /// A disk's header is not as it was made: a guest may have taken its QEMU over, or the node's disk has failed.
            DiskUntrusted { node, file, detail: Said } "disk.untrusted" 409 No
                en "the disk file {file} on node {node} is not as it was made, and is neither read nor copied: {detail}" "if neither the node's disk has failed nor anybody changed the file by hand, take its server for hostile: somebody in it may have broken out of QEMU on that node. Keep the file to look into it, and make the server anew from an image of before"
                ja "ノード {node} のディスクファイル {file} が作成時と異なるため、読み取りも複製もしません: {detail}" "ノードのディスクの故障でも、管理者による手作業の変更でもなければ、サーバの中からそのノードの QEMU が乗っ取られたおそれがあります。調査のためにファイルを保管し、以前に作ったイメージからサーバを作り直してください";
        }
    };
}

pub(super) use with_disks;
