//! The rows of the table that are about projects and their quotas.

/// Hands rows on to the macro that adds others, with those of this file at their end.
macro_rules! with_projects {
    ($next:ident! { $table:ident! { $($rows:tt)* } }) => {
        $next! { $table! {
            $($rows)*
            // --- projects --------------------------------------------------------------------------
            /// A name is taken.
            ProjectExists { project } "project.exists" 409 No
                en "a project named {project} exists already" "choose another name, or change its bounds: watari project set {project}"
                ja "プロジェクト {project} はすでに存在します" "別の名前を選ぶか、上限を変更してください: watari project set {project}";
            /// No such project.
            ProjectUnknown { project } "project.unknown" 404 No
                en "there is no project named {project}" "list the projects with: watari project list; or make it: watari project create {project}"
                ja "プロジェクト {project} はありません" "プロジェクトの一覧は watari project list で確認できます。作成するには watari project create {project} を実行してください";
            /// More would be used than the project may have.
            ProjectQuota { project, vm, detail: Said, remedy: SaidSince } "project.quota" 409 No
                en "server {vm} would pass the quota of project {project} ({detail})" "see `watari project show {project}`{remedy}"
                ja "サーバ {vm} はプロジェクト {project} の割り当てを超えます ({detail})" "`watari project show {project}` で使用量を確認してください{remedy}";
            /// More is used than the project may have, since a bound was lowered.
            ProjectOver { project, detail: Said, remedy: SaidSince } "project.over" 409 No
                en "project {project} uses more than its quota ({detail})" "nothing is taken away, but nothing that uses more of it is accepted until there is less{remedy}"
                ja "プロジェクト {project} の使用量は割り当てを超えています ({detail})" "既存のサーバはそのまま動きますが、上限内に減るまで、使用量が増える要求は受け付けません{remedy}";
            /// Servers, or disks that were kept of some, are counted with it.
            ProjectInUse { project, users } "project.in-use" 409 No
                en "project {project} has servers or kept disks: {users}" "delete them, or move servers: watari vm edit NAME --project OTHER"
                ja "プロジェクト {project} にはサーバまたは残したディスクがあります: {users}" "それらを削除するか、サーバは別のプロジェクトへ移してください: watari vm edit 名前 --project 移す先";
            /// The project of servers that name none.
            ProjectDefault { project } "project.default" 409 No
                en "project {project} has the servers that name none, so that it is always there" "take its bounds away instead: watari project set {project} --servers none --vcpus none --memory none --disk none"
                ja "プロジェクト {project} は、プロジェクトを指定しないサーバが属するため、削除できません" "代わりに上限を外してください: watari project set {project} --servers none --vcpus none --memory none --disk none";
            /// Whoever asks may change the servers of one project alone.
            ProjectOther { vm, project, own } "project.other" 403 No
                en "server {vm} is of project {project}, or would be, and this key may change the servers of project {own} alone" "name that project for a new server (--project {own}); for all else ask an operator of all projects"
                ja "サーバ {vm} はプロジェクト {project} のサーバか、このリクエストでそうなるサーバです。この鍵で変更できるのは、プロジェクト {own} のサーバだけです" "新しいサーバには --project {own} を指定してください。それ以外は、すべてのプロジェクトを扱う操作者に依頼してください";
            /// Whoever asks may use and delete the kept disks of one project alone.
            ProjectDisk { disk, own } "project.disk" 403 No
                en "{disk} is not known as a kept disk of project {own}, and this key may use and delete those alone" "list them with: watari disk list --project {own}; or start from an image (--image), or ask an operator of all projects"
                ja "{disk} がプロジェクト {own} の残したディスクであることを確認できません。この鍵で使用と削除ができるのは、そのプロジェクトのものだけです" "watari disk list --project {own} で確認できます。イメージから作成するか (--image)、すべてのプロジェクトを扱う操作者に依頼することもできます";
            /// As many projects as may be.
            ProjectsFull { limit } "project.full" 507 No
                en "there are {limit} projects, as many as may be" "delete projects that nobody uses: watari project list"
                ja "プロジェクトはすでに上限の {limit} 個あります" "使われていないプロジェクトを削除してください。一覧は watari project list で確認できます";
        } }
    };
}

pub(super) use with_projects;
