//! Rows of the table in a file of their own: what is refused at servers' consoles.

/// The table with these rows at its end.
macro_rules! with_consoles {
    ($table:ident! { $($rows:tt)* }) => {
        $table! {
            $($rows)*
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
        }
    };
}
