//! The rows of the table that are about what is foreseen of an outage.

/// Hands rows on to the macros that add others, with those of this file at their end.
macro_rules! with_readiness {
    ($first:ident! { $next:ident! { $third:ident! { $table:ident! { $($rows:tt)* } } } }) => {
        $first! { $next! { $third! { $table! {
            $($rows)*
            // --- readiness -------------------------------------------------------------------------
            /// It would be lost with the power of its site, as is known beforehand.
            CannotLeave { vm, outage, detail: Said } "outage.cannot-leave" 409 Later
                en "server {vm} could not leave its site in the scheduled outage {outage}: {detail}" "see who else could not with `watari outage show {outage}`; make room at another site, or change the server"
                ja "サーバ {vm} は予定された停電 {outage} でサイトから退避できない見込みです: {detail}" "ほかに退避できないサーバは `watari outage show {outage}` で確認できます。別のサイトに空きを作るか、サーバの設定を変更してください";
            /// It can leave, but what its disk stands on goes over the link before it.
            ImageTravels { vm, image, site, mib } "outage.image-travels" 409 Later
                en "server {vm} can leave, but {site} has no copy of its image {image}: {mib} MiB more travel over the link before it" "the front end at {site} makes its copy by itself once it reaches one that has the image: see `watari image show {image}` and `watari frontend status`"
                ja "サーバ {vm} は退避できますが、{site} にイメージ {image} の複製がないため、先に {mib} MiB を回線で転送します" "{site} のフロントエンドは、イメージを持つフロントエンドに接続できれば自動で複製を作ります。`watari image show {image}` と `watari frontend status` で確認してください";
            /// It may leave, but the last time it did not arrive.
            LastMoveFailed { vm, migration, detail: Said } "outage.last-move-failed" 409 Later
                en "the last time that server {vm} was to move ({migration}) it did not arrive: {detail}" "try it before the day: watari vm migrate {vm}; what happened is in `watari migration show {migration}`"
                ja "サーバ {vm} の前回の移行 ({migration}) は失敗しています: {detail}" "停電の前に watari vm migrate {vm} で試してください。経過は `watari migration show {migration}` で確認できます";
            /// It can leave, but it is slowed down until it has.
            TooBusy { vm, written, carried } "outage.too-busy" 409 Later
                en "server {vm} can leave, but it writes {written} MiB a second to its memory and its copy travels at {carried}: it will be slowed down until it has crossed" "let it stand still for a few seconds at the end instead with `watari vm edit {vm} --max-downtime 20`, or move it at a quiet hour before the day"
                ja "サーバ {vm} は退避できますが、毎秒 {written} MiB の速さでメモリを書き換えており、移行の転送速度 (毎秒 {carried} MiB) では追いつかないため、移行が終わるまで動作が遅くなります" "`watari vm edit {vm} --max-downtime 20` で移行の最後に数秒の停止を許可するか、停電の日より前の負荷の低い時間に移行してください";
            /// What was planned for it did not stand the check that every plan goes through, and was not done.
            PlanFlawed { vm, flaw, detail: Said } "outage.plan-flawed" 409 Later
                en "the plan for server {vm} was found wrong before it was used ({flaw}): {detail}" "it stays where it is and is planned for anew; until then move it with `watari vm migrate {vm}`, and report this fault of Watari with the scheduler's log"
                ja "サーバ {vm} の退避計画に誤りが見つかったため、使用しませんでした ({flaw}): {detail}" "サーバは現在のノードで動作を続け、計画は作り直されます。急ぐ場合は `watari vm migrate {vm}` で移行し、スケジューラのログを添えて不具合としてご報告ください";
        } } } }
    };
}

pub(super) use with_readiness;
