//! The rows of the table that are about networks, ports, public addresses and firewall groups.

/// Hands a table its rows, with those of this file at their end.
macro_rules! with_networks {
    ($table:ident! { $($rows:tt)* }) => {
        $table! {
            $($rows)*
            // --- networks --------------------------------------------------------------------------
            /// A name is taken.
            NetworkExists { network } "network.exists" 409 No
                en "a network named {network} exists already" "choose another name, or delete it: watari network delete {network}"
                ja "ネットワーク {network} はすでに存在します" "別の名前を選ぶか、削除してください: watari network delete {network}";
            /// As many networks as may be.
            NetworksFull { limit } "network.full" 507 No
                en "there are {limit} networks, as many as may be" "delete networks that nobody uses: watari network list"
                ja "ネットワークはすでに上限の {limit} 個あります" "使われていないネットワークを削除してください。一覧は watari network list で確認できます";
            /// No such network.
            NetworkUnknown { network } "network.unknown" 404 No
                en "there is no network named {network}" "list the networks with: watari network list"
                ja "ネットワーク {network} はありません" "ネットワークの一覧は watari network list で確認できます";
            /// Ports stand on it.
            NetworkInUse { network, users } "network.in-use" 409 No
                en "network {network} is used by {users}" "delete those servers, or release those public addresses, first"
                ja "ネットワーク {network} は {users} が使用中です" "先にそれらのサーバを削除するか、公開アドレスを解放してください";
            /// The range is not one.
            BadRange { network, detail: Said } "network.bad-range" 400 No
                en "the addresses of network {network} make no sense: {detail}" "give --cidr and a --range FIRST-LAST inside it that leaves out the gateway"
                ja "ネットワーク {network} のアドレス指定が正しくありません: {detail}" "--cidr と、その内側でゲートウェイを含まない --range 最初-最後 を指定してください";
            /// What is kept back is not of the range, or is all of it.
            BadExclusion { network, detail: Said } "network.bad-exclusion" 400 No
                en "the exclusions of network {network} make no sense: {detail}" "give each --exclude as ADDRESS or FIRST-LAST, or with =NOTE behind it, inside the --range, no address twice, and leave some to hand out; what lies outside the range is never handed out anyway"
                ja "ネットワーク {network} の取り置きの指定が正しくありません: {detail}" "--exclude には、--range の内側のアドレスまたは 最初-最後 を指定してください (必要なら後ろに =メモ)。同じアドレスは 1 回だけとし、配布できるアドレスを残してください。範囲の外のアドレスは、取り置かなくても配布されません";
            /// The IPv6 side is not one.
            BadIpv6 { network, detail: Said } "network.bad-ipv6" 400 No
                en "the IPv6 addresses of network {network} make no sense: {detail}" "give --cidr6 with a prefix between /64 and /96, and a --gateway6 inside it that no server has"
                ja "ネットワーク {network} の IPv6 アドレス指定が正しくありません: {detail}" "--cidr6 に /64 から /96 までのサブネットを、--gateway6 にその内側でサーバが使わないアドレスを指定してください";
            /// A route leads nowhere, or by nobody.
            BadRoute { network, detail: Said } "network.bad-route" 400 No
                en "the routes of network {network} make no sense: {detail}" "give each --route as SUBNET=ROUTER: a subnet elsewhere, and a router inside the network's own subnet that is not handed out; --gateway is for everything else"
                ja "ネットワーク {network} の経路指定が正しくありません: {detail}" "--route には サブネット=ルータ の形で、ほかのサブネットと、このネットワークのサブネット内にある配布範囲外のルータを指定してください。それ以外の宛先には --gateway を使います";
            /// It overlaps another network on the same segment.
            RangeOverlaps { network, other } "network.range-overlaps" 409 No
                en "the range of network {network} overlaps that of {other}" "choose a range that no other network on the segment uses"
                ja "ネットワーク {network} の範囲は {other} の範囲と重なっています" "同じセグメントのほかのネットワークが使わない範囲を選んでください";
            /// A VLAN carries one network.
            VlanTaken { vlan, segment, other } "network.vlan-taken" 409 No
                en "VLAN {vlan} of segment {segment} is network {other}" "choose another --vlan, or make servers on that network"
                ja "セグメント {segment} の VLAN {vlan} はネットワーク {other} が使用しています" "別の --vlan を指定するか、そのネットワークにサーバを作成してください";
            /// Nodes route both.
            SubnetsOverlap { network, cidr, other, theirs } "network.subnets-overlap" 409 No
                en "the subnet {cidr} of network {network} overlaps {theirs} of network {other}, and nodes route both" "choose another --cidr and a --range inside it; `watari network list` shows which are taken"
                ja "ネットワーク {network} のサブネット {cidr} は、ネットワーク {other} の {theirs} と重なっています (ノードは両方の経路を持ちます)" "別の --cidr と、その内側の --range を指定してください。使用中のものは `watari network list` で確認できます";
            /// Every address is taken.
            RangeExhausted { network, size } "network.range-exhausted" 507 Later
                en "no address of network {network} is free, of {size}" "delete servers that are not needed, or hand out more: watari network edit {network} --range FIRST-LAST"
                ja "ネットワーク {network} の {size} 個のアドレスはすべて使用中です" "不要なサーバを削除するか、watari network edit {network} --range 最初-最後 で配布範囲を広げてください";
            /// Every public address is allocated, which no deletion of a server changes.
            PublicRangeExhausted { network, size } "network.public-exhausted" 507 Later
                en "no public address of network {network} is free, of {size}" "give back one that is not needed: watari address release ADDRESS; `watari address list --network {network}` shows which lead nowhere"
                ja "ネットワーク {network} の {size} 個の公開アドレスはすべて確保されています" "不要なものを watari address release アドレス で解放してください。関連付けのないものは `watari address list --network {network}` で確認できます";
            /// Somebody has this address.
            AddressTaken { network, address, owner: Said } "network.address-taken" 409 No
                en "address {address} of network {network} belongs to {owner}" "choose another address, or leave it out and take what is given"
                ja "ネットワーク {network} のアドレス {address} は {owner} が使用しています" "別のアドレスを選ぶか、指定を省いて自動割り当てにしてください";
            /// A server has an address by its name that nobody would have been given. Only told, never refused.
            AddressOutside { vm, network, address, range } "network.address-outside" 409 No
                en "address {address} of server {vm} lies outside the range {range} of network {network}: it was asked for by its name" "make sure that no other machine of the network has it or is given it by another DHCP server; an address of the range is given by --network {network} alone"
                ja "サーバ {vm} のアドレス {address} は、ネットワーク {network} の配布範囲 {range} の外です (指定されたとおりに割り当てました)" "ほかの機器がこのアドレスを使っていないこと、ほかの DHCP サーバが配布しないことを確認してください。範囲内のアドレスでよければ --network {network} とだけ指定します";
            /// Somebody who is no server answers for this address on the segment.
            AddressStrange { network, address, mac, node } "address.taken" 409 No
                en "address {address} of network {network} is used by a machine that is no server here: {mac} answered node {node}" "find that machine by its MAC and give it another address, then: watari network clear {network} {address}; or choose another address, or leave it out and take what is given"
                ja "ネットワーク {network} のアドレス {address} は、サーバではない機器が使用しています (ノード {node} に {mac} が応答)" "MAC アドレスからその機器を探してアドレスを変更した後、watari network clear {network} {address} を実行してください。または別のアドレスを選ぶか、指定を省いて自動割り当てにしてください";
            /// Somebody who is no server answers by IPv6 for what goes with this address.
            AddressStrange6 { network, address, address6, mac, node } "address.taken-ipv6" 409 No
                en "{address6}, which goes with address {address} of network {network}, is used by a machine that is no server here: {mac} answered node {node}" "find that machine by its MAC and give it another IPv6 address, then: watari network clear {network} {address}; or choose another address, or leave it out and take what is given"
                ja "ネットワーク {network} のアドレス {address} と対になる {address6} は、サーバではない機器が使用しています (ノード {node} に {mac} が応答)" "MAC アドレスからその機器を探して IPv6 アドレスを変更した後、watari network clear {network} {address} を実行してください。または別のアドレスを選ぶか、指定を省いて自動割り当てにしてください";
            /// Somebody has allocated this public address, perhaps the same person.
            AddressAllocated { network, address } "address.allocated" 409 No
                en "public address {address} of network {network} is allocated already" "see where it leads with `watari address show {address}`, and use it if it is yours; else leave --address out and take what is given"
                ja "ネットワーク {network} の公開アドレス {address} はすでに確保されています" "関連付け先は `watari address show {address}` で確認できます。自分で確保したものならそのまま使えます。そうでなければ --address を省いて自動割り当てにしてください";
            /// Nobody has allocated this public address.
            AddressUnknown { address } "address.unknown" 404 No
                en "{address} is no public address that was allocated" "list them with `watari address list`, or take one: watari address allocate"
                ja "{address} は確保されている公開アドレスではありません" "一覧は `watari address list` で確認できます。確保するには watari address allocate を実行してください";
            /// It leads to a server.
            AddressInUse { address, vm } "address.in-use" 409 No
                en "public address {address} leads to server {vm}" "take it away first: watari address disassociate {address}; `watari address release {address} --yes` does both"
                ja "公開アドレス {address} はサーバ {vm} に関連付けられています" "先に watari address disassociate {address} で関連付けを解除してください。解放まで行う場合は `watari address release {address} --yes` を使えます";
            /// The server's port has one already, and takes no second.
            PortHasAddress { vm, network, address } "address.second" 409 No
                en "server {vm} ({network}) already has public address {address}, and a port takes one" "let that one lead nowhere first: watari address disassociate {address}"
                ja "サーバ {vm} ({network}) にはすでに公開アドレス {address} があります。公開アドレスは 1 つのポートに 1 つです" "入れ替えるには、先に watari address disassociate {address} を実行してください";
            /// A server that has no address of its own behind which a public one could stand.
            AddressNoPort { vm } "address.no-port" 409 No
                en "server {vm} has no port on an overlay network to which a public address could lead" "a server on a provider network is reached by its own address; otherwise make it with --network NETWORK, an overlay network (`watari network list`)"
                ja "サーバ {vm} には、公開アドレスを関連付けられるオーバーレイネットワークのポートがありません" "プロバイダネットワークのサーバには、サーバ自身のアドレスで届きます。公開アドレスが必要なら --network にオーバーレイネットワークを指定して作成してください (一覧は `watari network list`)";
            /// The network that was named is none of those on which a public one could lead to the server.
            AddressWrongNetwork { vm, network, own } "address.wrong-network" 409 No
                en "no public address can lead to server {vm} on network {network}" "leave --network out or name an overlay network on which it has a port: {own}"
                ja "ネットワーク {network} では、サーバ {vm} に公開アドレスを関連付けられません" "--network を省くか、サーバがポートを持つオーバーレイネットワークを指定してください: {own}";
            /// The node has no bridge for the segment.
            SegmentUnbound { node, segment } "network.segment-unbound" 409 Later
                en "node {node} has no bridge for segment {segment}" "name the bridge in [networks.segments] of the node's node-agent.toml and restart the agent"
                ja "ノード {node} にはセグメント {segment} 用のブリッジがありません" "そのノードの node-agent.toml の [networks.segments] にブリッジを記入し、エージェントを再起動してください";
            /// It was made on no network, which may be meant.
            NoNetwork { vm } "vm.no-network" 409 No
                en "server {vm} has no network: nobody can reach it but at its console, and it reaches nobody" "if that is not meant, delete it and make it again with --network (see `watari network list`): watari vm delete {vm}"
                ja "サーバ {vm} にはネットワークがないため、コンソール以外では使えず、外部への通信もできません" "意図したものでなければ、watari vm delete {vm} で削除し、--network を付けて作り直してください (一覧は watari network list)";
            // --- firewall groups -------------------------------------------------------------------
            /// A name is taken.
            FirewallExists { firewall } "firewall.exists" 409 No
                en "a firewall group named {firewall} exists already" "choose another name, or change that one: watari firewall allow {firewall}"
                ja "ファイアウォールグループ {firewall} はすでに存在します" "別の名前を選ぶか、既存のグループを変更してください: watari firewall allow {firewall}";
            /// No such group.
            FirewallUnknown { firewall } "firewall.unknown" 404 No
                en "there is no firewall group named {firewall}" "list the groups with `watari firewall list`, or make it: watari firewall create {firewall}"
                ja "ファイアウォールグループ {firewall} はありません" "一覧は `watari firewall list` で確認できます。作成するには watari firewall create {firewall} を実行してください";
            /// Servers or rules name it.
            FirewallInUse { firewall, users } "firewall.in-use" 409 No
                en "firewall group {firewall} is named by {users}" "delete those servers, or take the rules that name it out of those groups, first"
                ja "ファイアウォールグループ {firewall} は {users} が使用中です" "先にそれらのサーバを削除するか、それらのグループからこのグループを指す規則を取り除いてください";
            /// The rule says something that cannot be.
            BadRule { rule, detail: Said } "firewall.bad-rule" 400 No
                en "the rule \"{rule}\" makes no sense: {detail}" "see the examples of: watari firewall allow --help"
                ja "規則「{rule}」は正しくありません: {detail}" "例は watari firewall allow --help で確認できます";
            /// A server does not arrive before what guards it.
            FirewallRulesMissing { vm, node, firewalls } "firewall.rules-missing" 503 Later
                en "node {node} has not been told the rules of firewall groups {firewalls}, without which server {vm} would arrive unguarded" "see whether the network service runs and whether `watari firewall list` shows the groups; make again what is missing, then try again"
                ja "ノード {node} にファイアウォールグループ {firewalls} の規則が届いていません。このままではサーバ {vm} が無防備で到着します" "ネットワークサービスが動いているか、`watari firewall list` にグループがあるかを確認し、なければ作り直してから、もう一度試してください";
        }
    };
}

pub(super) use with_networks;
