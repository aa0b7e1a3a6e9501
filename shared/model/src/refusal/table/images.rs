//! The rows of the table that are about images.

/// Hands rows on to the macros that add others, with those of this file at their end.
macro_rules! with_images {
    ($first:ident! { $next:ident! { $table:ident! { $($rows:tt)* } } }) => {
        $first! { $next! { $table! {
            $($rows)*
            // --- images ----------------------------------------------------------------------------
            /// A name is taken.
            ImageExists { image } "image.exists" 409 No
                en "an image named {image} exists already" "choose another name, or delete it: watari image delete {image}"
                ja "イメージ {image} はすでに存在します" "別の名前を選ぶか、削除してください: watari image delete {image}";
            /// No such image.
            ImageUnknown { image } "image.unknown" 404 No
                en "there is no image named {image}" "list the images with: watari image list"
                ja "イメージ {image} はありません" "イメージの一覧は watari image list で確認できます";
            /// Not ready to be used.
            ImageNotReady { image, state } "image.not-ready" 409 Later
                en "image {image} is {state}" "wait until `watari image show {image}` says ready, or import it again if it failed"
                ja "イメージ {image} は {state} です" "`watari image show {image}` の状態が「使用可能」になるまで待つか、失敗している場合は取り込み直してください";
            /// Servers stand on it.
            ImageInUse { image, users } "image.in-use" 409 No
                en "image {image} is used by {users}" "delete those servers or kept disks first"
                ja "イメージ {image} は {users} が使用中です" "先にそれらのサーバまたは残したディスクを削除してください";
            /// The file is none of ours to take.
            ImageRefused { image, detail } "image.refused" 400 No
                en "the file for image {image} is refused: {detail}" "give a plain qcow2 or raw disk image without backing file, external data or encryption"
                ja "イメージ {image} のファイルは受け付けられません: {detail}" "バッキングファイル、外部データ、暗号化のない qcow2 または raw のディスクイメージを指定してください";
            /// It stands on another file.
            ImageBackingFile { image, format, name } "image.backing-file" 400 No
                en "the file for image {image} is a {format} that stands on another file ({name})" "flatten it where its base is: qemu-img convert -O qcow2 OLD NEW, and import NEW"
                ja "イメージ {image} のファイルは、別のファイル ({name}) を土台とする {format} です" "土台のファイルがある場所で qemu-img convert -O qcow2 OLD NEW を実行して1 つにまとめ、NEW を取り込んでください";
            /// Its data lie elsewhere.
            ImageExternalData { image } "image.external-data" 400 No
                en "the file for image {image} is a qcow2 whose data lie in another file" "unite them: qemu-img convert -O qcow2 OLD NEW, and import NEW"
                ja "イメージ {image} のファイルは、データを別のファイルに持つ qcow2 です" "qemu-img convert -O qcow2 OLD NEW を実行して1 つにまとめ、NEW を取り込んでください";
            /// Its descriptor names other files.
            ImageForeignExtent { image, name } "image.foreign-extent" 400 No
                en "the VMDK for image {image} names other files for its data: {name}" "export it as one file (monolithicSparse or streamOptimized), or unite it: qemu-img convert -O qcow2 OLD.vmdk NEW.qcow2"
                ja "イメージ {image} の VMDK は、データの置き場所として別のファイルを指しています: {name}" "1 つのファイル (monolithicSparse または streamOptimized) として書き出すか、qemu-img convert -O qcow2 OLD.vmdk NEW.qcow2 で1 つにまとめてください";
            /// It names something that QEMU would connect to.
            ImageProtocolName { image, name } "image.protocol-name" 400 No
                en "the file for image {image} names {name}, which QEMU would read as a protocol and open" "do not trust where this file comes from; ask its owner for a whole disk image"
                ja "イメージ {image} のファイルは {name} を指しており、QEMU はこれを通信先として開いてしまいます" "このファイルの出所を疑い、単独で完結したディスクイメージを持ち主に求めてください";
            /// It is encrypted.
            ImageEncrypted { image, method } "image.encrypted" 400 No
                en "the file for image {image} is encrypted ({method})" "decrypt it first: nobody could start a server from it unattended"
                ja "イメージ {image} のファイルは暗号化 ({method}) されています" "先に復号してください。暗号化されたままでは、無人でサーバを起動できません";
            /// It was not closed.
            ImageNotClosed { image } "image.not-closed" 400 No
                en "the file for image {image} was not closed properly by the program that wrote it" "shut that program down and copy the file again, or repair it: qemu-img check -r all FILE"
                ja "イメージ {image} のファイルは、書き込んだプログラムが正しく閉じていません" "そのプログラムを終了してからファイルをコピーし直すか、qemu-img check -r all ファイル で修復してください";
            /// The disk it describes is larger than allowed.
            ImageDiskTooLarge { image, size_gib, limit_gib } "image.disk-too-large" 400 No
                en "the disk of image {image} has {size_gib} GiB, more than the {limit_gib} that are allowed" "shrink the disk, or raise max_virtual_gib in image.toml"
                ja "イメージ {image} のディスクは {size_gib} GiB あり、上限の {limit_gib} GiB を超えています" "ディスクを小さくするか、image.toml の max_virtual_gib を大きくしてください";
            /// Unpacked it would be far larger than a disk ever is.
            ImageBomb { image, limit_mib } "image.bomb" 400 No
                en "the compressed file for image {image} unpacks to more than {limit_mib} MiB, which no honest disk does" "unpack it yourself and import what is inside, or raise max_unpack_ratio in image.toml"
                ja "イメージ {image} の圧縮ファイルは、展開すると {limit_mib} MiB を超えます。通常のディスクでは起こりません" "自分で展開して中身を取り込むか、image.toml の max_unpack_ratio を大きくしてください";
            /// Something is missing at its end.
            ImageTruncated { image, detail } "image.truncated" 400 No
                en "the file for image {image} is not whole: {detail}" "copy or download it again, and compare its size with the original"
                ja "イメージ {image} のファイルは途中で切れています: {detail}" "もう一度コピーまたはダウンロードし、元のファイルと大きさを比べてください";
            /// Its contents contradict each other.
            ImageCorrupt { image, detail } "image.corrupt" 400 No
                en "the file for image {image} is corrupt: {detail}" "copy it again, or repair the original: qemu-img check -r all FILE"
                ja "イメージ {image} のファイルは壊れています: {detail}" "もう一度コピーするか、元のファイルを qemu-img check -r all ファイル で修復してください";
            /// Another format, or one feature too many.
            ImageFormatUnknown { image, detail } "image.format" 400 No
                en "the file for image {image} cannot be taken: {detail}" "give a qcow2, raw, VMDK, VHDX or VDI disk; others are converted with qemu-img convert -O qcow2 OLD NEW"
                ja "イメージ {image} のファイルは取り込めません: {detail}" "qcow2、raw、VMDK、VHDX、VDI のディスクを指定してください。ほかの形式は qemu-img convert -O qcow2 OLD NEW で変換できます";
            /// Packed in a way that is not unpacked here.
            ImageArchive { image, detail } "image.archive" 400 No
                en "the file for image {image} is {detail}" "unpack it and import the disk inside; only one disk under one of gzip, xz or zstd is unpacked here"
                ja "イメージ {image} のファイルは展開できない形式です: {detail}" "展開して中のディスクを取り込んでください。ここで展開できるのは、gzip、xz、zstd のいずれかで一度だけ圧縮した 1 つのディスクです";
            /// A medium, or nothing.
            ImageNotADisk { image, detail } "image.not-a-disk" 400 No
                en "the file for image {image} is no disk of an installed system: {detail}" "install a system on a disk first and import that disk, or use a vendor's cloud image"
                ja "イメージ {image} のファイルは、OS をインストールしたディスクではありません: {detail}" "先に OS をインストールしたディスクを用意して取り込むか、配布元のクラウドイメージを使ってください";
            /// A disk consists of sectors.
            ImageNotSectors { image, bytes } "image.not-sectors" 400 No
                en "the file for image {image} has none of the known disk formats and {bytes} bytes, which no disk has: disks consist of sectors of 512 bytes" "check that it is the file that you mean; if it was cut off, copy it again"
                ja "イメージ {image} のファイルは既知のディスク形式ではなく、大きさも {bytes} バイトで、ディスクとしてありえません (512 バイト単位ではありません)" "意図したファイルかどうかを確認してください。途中で切れている場合は、もう一度コピーしてください";
            /// Looking at it takes too much.
            ImageTooCostly { image, detail } "image.too-costly" 400 No
                en "looking at the file for image {image} takes more than is allowed: {detail}" "convert it to a plain qcow2 yourself, or raise the bounds under [image.qemu] and unpack_memory_mib in image.toml"
                ja "イメージ {image} のファイルの検査が上限を超えました: {detail}" "自分で通常の qcow2 に変換するか、image.toml の [image.qemu] の上限と unpack_memory_mib を大きくしてください";
            /// Not a URL that files are fetched from.
            ImageUrlBad { url, detail } "image.url-bad" 400 No
                en "no image is fetched from {url}: {detail}" "give an http:// or https:// URL without user name, or download the file and import it"
                ja "{url} からはイメージを取得できません: {detail}" "ユーザ名を含まない http:// または https:// の URL を指定するか、ファイルをダウンロードしてから取り込んでください";
            /// It leads into the house.
            ImageUrlForbidden { url, address } "image.url-forbidden" 403 No
                en "{url} leads to {address}, an address that is not public" "download the file and import it, or allow the address under [image.urls] allow in image.toml"
                ja "{url} の行き先 {address} は、公開されたアドレスではありません" "ファイルをダウンロードしてから取り込むか、image.toml の [image.urls] allow でそのアドレスを許可してください";
            /// It gives no file.
            ImageUrlFailed { url, detail } "image.url-failed" 503 No
                en "the file at {url} could not be fetched: {detail}" "check the URL from the front end, then import again"
                ja "{url} のファイルを取得できませんでした: {detail}" "フロントエンドから URL を確認し、もう一度取り込んでください";
            /// It gives almost nothing.
            ImageUrlStalled { url, detail } "image.url-stalled" 503 No
                en "the server of {url} sends too little: {detail}" "try again later or from another mirror, or download the file and import it"
                ja "{url} のサーバからデータがほとんど届きません: {detail}" "後でもう一度試すか、別のミラーを使うか、ファイルをダウンロードしてから取り込んでください";
            /// It does not end.
            ImageEndless { image, limit_mib } "image.endless" 400 No
                en "the file for image {image} goes on after {limit_mib} MiB, which is as large as a file may be" "check what is sent, or raise max_image_mib in image.toml"
                ja "イメージ {image} のファイルが上限の {limit_mib} MiB を超えても終わりません" "送っている内容を確認するか、image.toml の max_image_mib を大きくしてください";
            /// What arrived is not what was sent.
            DigestMismatch { image, expected, found } "image.digest-mismatch" 400 No
                en "the file for image {image} has digest {found}, not {expected}" "check the file and send it again"
                ja "イメージ {image} のファイルのダイジェストは {expected} ではなく {found} です" "ファイルを確認し、もう一度送ってください";
            /// The front end's disk cannot hold it.
            ImageNoRoom { image, detail } "image.no-room" 507 Later
                en "there is no room for image {image} on the front end: {detail}" "delete images that are not needed, or enlarge the disk under the image service's data folder"
                ja "フロントエンドにイメージ {image} を置く空きがありません: {detail}" "不要なイメージを削除するか、イメージサービスのデータフォルダのディスクを拡張してください";
            /// Nothing can be kept for good just now.
            ImageStoreAway { store, detail } "image.store-away" 503 Later
                en "images cannot be kept in {store}: {detail}" "check that the store runs, that the front end reaches it and that its key may write there ([image.store] in image.toml); see `watari doctor`, then try again"
                ja "イメージを {store} に保管できません: {detail}" "オブジェクトストアの稼働、フロントエンドからの到達、鍵の書き込み権限 (image.toml の [image.store]) を確認し、`watari doctor` で確かめてからもう一度試してください";
            /// Its bytes stopped coming.
            ImportAbandoned { image, minutes } "image.import-abandoned" 400 No
                en "no byte of image {image} has arrived for {minutes} minutes" "import it again: watari image import FILE --name {image}"
                ja "イメージ {image} のデータが {minutes} 分間届いていません" "もう一度取り込んでください: watari image import ファイル --name {image}";
            /// The bytes were on a front end that went away.
            ImportLost { image } "image.import-lost" 503 No
                en "the front end that received image {image} went away before it was checked" "import it again: watari image import FILE --name {image}"
                ja "イメージ {image} を受信したフロントエンドが、検査の前に失われました" "もう一度取り込んでください: watari image import ファイル --name {image}";
            /// Its server is gone.
            ImageServerGone { image, vm } "image.server-gone" 409 No
                en "server {vm} was deleted before image {image} could be saved from it" "save another server under that name, or import a disk: watari image import FILE --name {image}"
                ja "イメージ {image} の保存が終わる前に、サーバ {vm} が削除されました" "別のサーバをこの名前で保存するか、ディスクを取り込んでください: watari image import ファイル --name {image}";
            /// A server's disk could not be copied or sent.
            ImageSaveFailed { image, vm, detail: Said } "image.save-failed" 503 No
                en "image {image} could not be saved from server {vm}, which goes on as it was: {detail}" "see `watari vm show {vm}` and its node's agent, then save it again: watari vm save {vm} --as {image}"
                ja "サーバ {vm} をイメージ {image} として保存できませんでした。サーバはそのままです: {detail}" "`watari vm show {vm}` とノードのエージェントを確認し、もう一度保存してください: watari vm save {vm} --as {image}";
            /// As many imports as may be are under way.
            ImportsBusy { limit } "image.imports-busy" 503 Later
                en "{limit} imports are under way, which is as many as may be" "wait for one of them to end; `watari image list` shows them"
                ja "すでに上限の {limit} 件の取り込みが進行中です" "いずれかの完了を待ってください。`watari image list` で確認できます";
            /// As many imports as one user may have are under way.
            UserImportsBusy { limit } "image.user-imports-busy" 503 Later
                en "you have {limit} imports and savings under way, which is as many as one user may have" "wait for one of them to end, or delete one that is not wanted (watari image list); the bound is max_user_imports in image.toml"
                ja "進行中の取り込みと保存が、利用者 1 人の上限である {limit} 件に達しています" "いずれかの完了を待つか、不要なものを削除してください (watari image list)。上限は image.toml の max_user_imports です";
            /// One user's imports under way take as much as they may.
            UserImportsFull { image, held_mib, size_mib, limit_mib } "image.user-imports-full" 507 Later
                en "image {image} has {size_mib} MiB, beside {held_mib} MiB of your other imports and savings under way; one user may have {limit_mib} MiB" "wait for the others to end, or delete those that are not wanted (watari image list); the bound is max_user_mib in image.toml"
                ja "イメージ {image} は {size_mib} MiB で、進行中のほかの取り込みと保存 {held_mib} MiB と合わせると、利用者 1 人の上限 {limit_mib} MiB を超えます" "ほかの取り込みと保存の完了を待つか、不要なものを削除してください (watari image list)。上限は image.toml の max_user_mib です";
            /// The disk asked for is smaller than the image.
            DiskTooSmall { image, image_gib, disk_gib } "image.disk-too-small" 400 No
                en "image {image} needs a disk of {image_gib} GiB, but {disk_gib} GiB were asked for" "give --disk {image_gib}GiB or more"
                ja "イメージ {image} には {image_gib} GiB のディスクが必要ですが、指定は {disk_gib} GiB です" "--disk {image_gib}GiB 以上を指定してください";
            /// What is in the image takes more memory.
            MemoryTooSmall { image, image_mib, memory_mib } "image.memory-too-small" 400 No
                en "image {image} needs {image_mib} MiB of memory, but {memory_mib} MiB were asked for" "give --memory {image_mib}MiB or more"
                ja "イメージ {image} には {image_mib} MiB のメモリが必要ですが、指定は {memory_mib} MiB です" "--memory {image_mib}MiB 以上を指定してください";
            /// Its node has no room for what it would take more.
            NoRoomToGrow { vm, node, detail: Said } "vm.no-room-to-grow" 507 Later
                en "server {vm} cannot grow on node {node}: for what it takes more, {detail}" "ask for less, or move it to a node with more room first: watari vm migrate {vm} --to NODE"
                ja "ノード {node} には、サーバ {vm} を大きくする余裕がありません: {detail}" "小さくするか、先に空きの多いノードへ移してください: watari vm migrate {vm} --to ノード";
            /// It is larger from its next start on, and not already.
            GrowthWaits { vm, detail: Said } "vm.growth-waits" 409 No
                en "server {vm} could not be given all of its new size while it runs: {detail}" "it goes on with what it has, and has the rest from its next start on: watari vm reboot {vm} --wait"
                ja "サーバ {vm} は、稼働中に新しい大きさのすべてを反映できませんでした: {detail}" "サーバは現在の大きさで動き続けます。残りは次回の起動から反映されます: watari vm reboot {vm} --wait";
            /// Its guest has not taken the memory that it was offered.
            MemoryNotTaken { vm } "vm.memory-not-taken" 409 Later
                en "the system in server {vm} has not taken the memory that it was offered, for which it needs the driver virtio_mem" "load the driver in it: it is offered again; or reboot it: watari vm reboot {vm} --wait"
                ja "サーバ {vm} の OS は、追加のメモリを受け取りませんでした。OS のドライバ virtio_mem が必要です" "ドライバを読み込んでください (自動で再試行されます)。または再起動してください: watari vm reboot {vm} --wait";
            /// Its memory is growing: how large it is will be known in a moment.
            MemoryGrows { vm } "vm.memory-grows" 409 Later
                en "server {vm} is being given more memory just now" "wait some seconds, look at it with `watari vm show {vm}`, and ask again"
                ja "サーバ {vm} のメモリは、現在増やしている途中です" "数秒待ち、`watari vm show {vm}` で確認してから、もう一度実行してください";
            /// A disk never becomes smaller.
            DiskShrinks { vm, disk_gib, wanted_gib } "vm.disk-shrinks" 400 No
                en "server {vm} has a disk of {disk_gib} GiB, which cannot become one of {wanted_gib} GiB" "give a size of at least {disk_gib} GiB, or make a smaller server and move the data"
                ja "サーバ {vm} のディスクは {disk_gib} GiB で、{wanted_gib} GiB に縮めることはできません" "{disk_gib} GiB 以上を指定するか、小さいサーバを作ってデータを移してください";
            /// No such kept disk.
            DiskUnknown { disk } "disk.unknown" 404 No
                en "no disk named {disk} is kept" "list the kept disks with: watari disk list"
                ja "残したディスクに {disk} はありません" "残したディスクの一覧は watari disk list で確認できます";
            /// A server begins with it.
            DiskInUse { disk, vm } "disk.in-use" 409 No
                en "disk {disk} is that of server {vm} now" "look at it with `watari vm show {vm}`; delete the server if it is not wanted"
                ja "ディスク {disk} は現在サーバ {vm} のものです" "`watari vm show {vm}` で確認し、不要ならサーバを削除してください";
            /// A kept disk stands on another image.
            DiskOfImage { disk, image } "disk.other-image" 400 No
                en "disk {disk} stands on image {image}" "name that image, or none"
                ja "ディスク {disk} の土台はイメージ {image} です" "そのイメージを指定するか、指定を省いてください";
            /// Its node keeps many already.
            DisksFull { vm, node, most } "disk.too-many" 507 Later
                en "the disk of server {vm} cannot be kept: node {node} keeps {most} already" "delete some that are not needed: watari disk list; or delete the server with its disk"
                ja "サーバ {vm} のディスクは残せません。ノード {node} にはすでに {most} 個あります" "不要なものを削除するか (watari disk list)、サーバをディスクごと削除してください";
            /// Its node is not heard.
            DiskUnreachable { disk, node } "disk.unreachable" 503 Later
                en "disk {disk} is on node {node}, which does not answer" "see `watari node show {node}` and try again when the node answers"
                ja "ディスク {disk} のあるノード {node} が応答しません" "`watari node show {node}` を確認し、ノードの復旧後にもう一度実行してください";
            /// A node could not get a base image.
            ImageUnavailable { image, node, detail } "image.unavailable" 503 Later
                en "node {node} could not get image {image}: {detail}" "look at `watari image show {image}` and at the front end of that site"
                ja "ノード {node} はイメージ {image} を取得できませんでした: {detail}" "`watari image show {image}` とそのサイトのフロントエンドを確認してください";
        } } }
    };
}

pub(super) use with_images;
