//! Projects: servers that are counted together, and how much of everything they may have.
//!
//! What counts is what was accepted, whether it runs or not: a server counts from when it is asked for until its
//! document is gone, with the size that it may have and with its snapshots ([`Used::of`]); a disk that was kept of it
//! counts until it is deleted, or another server's ([`Used::kept`]). A bound that is set lower than what is used takes
//! nothing away; it refuses what would use more.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Document, ProjectName, Refusal, Said, Timestamp, VmName, said, vm::Vm};

/// A project's document. The project of servers that name none has one only once it is bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// The document's version.
    pub v: u32,
    /// Its name.
    pub name: ProjectName,
    /// What it is for, in one line; empty if nobody has said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// How much it may have.
    #[serde(default)]
    pub quota: Quota,
    /// The request that made it.
    pub request_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

impl Document for Project {
    const BUCKET: &'static str = "projects";
    fn key(&self) -> String {
        self.name.to_string()
    }
}

/// How much a project may have; what is left out is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<u64>,
    /// Virtual CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<u64>,
    /// Memory in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Disk in GiB: of servers, of their snapshots, and kept disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gib: Option<u64>,
}

/// A bound as it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At most so much.
    AtMost(u64),
    /// As much as there is room for.
    None,
}

impl Bound {
    /// The same as a quota has it.
    #[must_use]
    pub const fn most(self) -> Option<u64> {
        match self {
            Self::AtMost(most) => Some(most),
            Self::None => None,
        }
    }
}

/// What a project has: its servers together, and the disks that were kept of servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    /// Servers.
    pub servers: u64,
    /// Virtual CPUs.
    pub vcpus: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in GiB, all together.
    pub disk_gib: u64,
    /// What of it is disks that were kept of deleted servers.
    #[serde(default)]
    pub kept_disk_gib: u64,
    /// What of it is for snapshots.
    #[serde(default)]
    pub snapshots_gib: u64,
}

impl Used {
    /// What one server has: what it is, or what it will be after its next start if that is more, with its snapshots.
    #[must_use]
    pub fn of(vm: &Vm) -> Self {
        let (claimed, snapshots_gib) = (vm.claims(), vm.snapshots_gib());
        Self {
            servers: 1,
            vcpus: claimed.vcpus.into(),
            memory_mib: claimed.memory_mib,
            disk_gib: vm.most_disk_gib().saturating_add(snapshots_gib),
            kept_disk_gib: 0,
            snapshots_gib,
        }
    }

    /// What one kept disk is.
    #[must_use]
    pub fn kept(counted_gib: u64) -> Self {
        Self { disk_gib: counted_gib, kept_disk_gib: counted_gib, ..Self::default() }
    }

    /// What the servers of each project have.
    pub fn by_project<'a>(vms: impl Iterator<Item = &'a Vm>) -> BTreeMap<ProjectName, Self> {
        let mut used: BTreeMap<ProjectName, Self> = BTreeMap::new();
        for vm in vms {
            // Of many servers most are of a project that is there already: its name is not copied for each.
            match used.get_mut(&vm.project) {
                Some(all) => *all = all.plus(Self::of(vm)),
                None => {
                    used.insert(vm.project.clone(), Self::of(vm));
                }
            }
        }
        used
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            servers: self.servers.saturating_add(other.servers),
            vcpus: self.vcpus.saturating_add(other.vcpus),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            disk_gib: self.disk_gib.saturating_add(other.disk_gib),
            kept_disk_gib: self.kept_disk_gib.saturating_add(other.kept_disk_gib),
            snapshots_gib: self.snapshots_gib.saturating_add(other.snapshots_gib),
        }
    }

    /// By how much this is more than the other, each by itself.
    #[must_use]
    pub const fn beyond(self, other: Self) -> Self {
        Self {
            servers: self.servers.saturating_sub(other.servers),
            vcpus: self.vcpus.saturating_sub(other.vcpus),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
            disk_gib: self.disk_gib.saturating_sub(other.disk_gib),
            kept_disk_gib: self.kept_disk_gib.saturating_sub(other.kept_disk_gib),
            snapshots_gib: self.snapshots_gib.saturating_sub(other.snapshots_gib),
        }
    }

    /// Each that may be bounded, with the word that metrics have for it.
    #[must_use]
    pub const fn parts(self) -> [(&'static str, u64); 4] {
        [("servers", self.servers), ("vcpus", self.vcpus), ("memory_mib", self.memory_mib), (DISK, self.disk_gib)]
    }

    /// What of the disk is not the servers' own, in the same way.
    #[must_use]
    pub const fn beside_servers(self) -> [(&'static str, u64); 2] {
        [("kept_disk_gib", self.kept_disk_gib), ("snapshots_gib", self.snapshots_gib)]
    }

    /// What the disk is used for, where it is not for servers alone.
    fn disk_is(self) -> Option<Said> {
        let (kept, snapshots) = (self.kept_disk_gib, self.snapshots_gib);
        let servers = self.disk_gib.saturating_sub(kept).saturating_sub(snapshots);
        (kept > 0 || snapshots > 0).then(|| {
            said!(
                "of the disk used, servers: {servers} GiB, kept disks: {kept} GiB, snapshots: {snapshots} GiB",
                "使用中のディスクの内訳: サーバ {servers} GiB、残したディスク {kept} GiB、スナップショット {snapshots} GiB"
            )
        })
    }
}

/// The word of metrics for the disk.
const DISK: &str = "disk_gib";

/// What each part is called, and its unit.
const WORDS: [(&str, &str, &str); 4] = [
    ("servers", "サーバ数", ""),
    ("vcpus", "仮想 CPU", ""),
    ("memory", "メモリ", " MiB"),
    ("disk", "ディスク", " GiB"),
];

impl Quota {
    /// The same bounds in the order of [`Used::parts`].
    #[must_use]
    pub const fn bounds(self) -> [Option<u64>; 4] {
        [self.servers, self.vcpus, self.memory_mib, self.disk_gib]
    }

    /// What is left of each, where there is a bound.
    #[must_use]
    pub fn left(self, used: Used) -> Self {
        let left = |most: Option<u64>, used: u64| most.map(|most| most.saturating_sub(used));
        Self {
            servers: left(self.servers, used.servers),
            vcpus: left(self.vcpus, used.vcpus),
            memory_mib: left(self.memory_mib, used.memory_mib),
            disk_gib: left(self.disk_gib, used.disk_gib),
        }
    }

    /// Whether a server of the project may have so much more than `used` of all.
    ///
    /// # Errors
    /// [`Refusal::ProjectQuota`] naming each bound that would be passed by it, for what the disk is used if that is one, and
    /// what helps. What it does not ask for refuses nothing, though there be more of that than may be.
    pub fn admits(self, project: &ProjectName, vm: &VmName, used: Used, more: Used) -> Result<(), Refusal> {
        let parts = self.bounds().into_iter().zip(used.parts()).zip(more.parts()).zip(WORDS);
        let passed = parts.filter_map(|(((most, (kind, used)), (_, more)), (en, ja, unit))| {
            let most = most.filter(|most| more > 0 && used.saturating_add(more) > *most)?;
            let said = said!(
                "{en}: {used}{unit} used and {more}{unit} more asked, of {most}{unit}",
                "{ja}: 使用中 {used}{unit}、追加 {more}{unit}、上限 {most}{unit}"
            );
            Some((kind, said))
        });
        match listed(project, passed, used) {
            Some((detail, remedy)) => {
                let (project, vm) = (project.to_string(), vm.to_string());
                Err(Refusal::ProjectQuota { project, vm, detail, remedy: Some(Box::new(remedy)) })
            }
            None => Ok(()),
        }
    }

    /// That more is used than may be, as when a bound was lowered; none if it is not.
    #[must_use]
    pub fn passed_by(self, project: &ProjectName, used: Used) -> Option<Refusal> {
        let parts = self.bounds().into_iter().zip(used.parts()).zip(WORDS);
        let passed = parts.filter_map(|((most, (kind, used)), (en, ja, unit))| {
            let most = most.filter(|most| used > *most)?;
            let said = said!("{en}: {used}{unit} of {most}{unit}", "{ja}: 使用中 {used}{unit}、上限 {most}{unit}");
            Some((kind, said))
        });
        let (detail, remedy) = listed(project, passed, used)?;
        Some(Refusal::ProjectOver { project: project.to_string(), detail, remedy: Some(Box::new(remedy)) })
    }
}

/// What is said of each bound that is passed as one phrase, with what the disk is used for if its bound is one, and what
/// helps; none if none is passed.
fn listed(
    project: &ProjectName,
    passed: impl Iterator<Item = (&'static str, Said)>,
    used: Used,
) -> Option<(Said, Said)> {
    let (kinds, mut phrases): (Vec<_>, Vec<_>) = passed.unzip();
    if kinds.is_empty() {
        return None;
    }
    if kinds.contains(&DISK) {
        phrases.extend(used.disk_is());
    }
    let Said { en, ja } = joined(&ways(project, &kinds), "; ", "。");
    Some((joined(&phrases, "; ", "。"), said!("; {en}", "。{ja}")))
}

/// What helps where these bounds are passed: who has no memory left is not told of disks.
fn ways(project: &ProjectName, kinds: &[&str]) -> Vec<Said> {
    let is_any = |some: &[&str]| some.iter().any(|kind| kinds.contains(kind));
    let mut ways = Vec::new();
    if is_any(&["vcpus", "memory_mib"]) {
        ways.push(said!(
            "delete servers of it, or make them smaller (watari vm list --project {project}; watari vm resize SERVER)",
            "プロジェクトのサーバを削除するか、小さくしてください (watari vm list --project {project}、watari vm resize サーバ)"
        ));
    } else if is_any(&["servers"]) {
        ways.push(said!(
            "delete servers of it (watari vm list --project {project})",
            "プロジェクトのサーバを削除してください (watari vm list --project {project})"
        ));
    }
    if is_any(&[DISK]) {
        ways.push(said!(
            "for disk, delete servers, snapshots (watari vm snapshot delete SERVER NAME) or kept disks (watari disk list --project {project})",
            "ディスクは、サーバ、スナップショット (watari vm snapshot delete サーバ 名前)、残したディスク (watari disk list --project {project}) のいずれかを削除して減らしてください"
        ));
    }
    let options = BOUNDS.iter().filter(|(kind, ..)| kinds.contains(kind)).map(|(_, en, ja)| Said::new(*en, *ja));
    let Said { en, ja } = joined(&options.collect::<Vec<_>>(), " ", " ");
    ways.push(said!(
        "or raise the bound: watari project set {project} {en}",
        "上限を引き上げるには watari project set {project} {ja} を実行します"
    ));
    ways
}

/// By which option each is bounded, by the word of metrics for it.
const BOUNDS: [(&str, &str, &str); 4] = [
    ("servers", "--servers NUMBER", "--servers 数"),
    ("vcpus", "--vcpus NUMBER", "--vcpus 数"),
    ("memory_mib", "--memory SIZE", "--memory サイズ"),
    (DISK, "--disk SIZE", "--disk サイズ"),
];

fn joined(phrases: &[Said], between_en: &str, between_ja: &str) -> Said {
    let (en, ja): (Vec<&str>, Vec<&str>) = phrases.iter().map(|said| (said.en.as_str(), said.ja.as_str())).unzip();
    Said::new(en.join(between_en), ja.join(between_ja))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> (ProjectName, VmName) {
        ("mail".parse().unwrap(), "mx1".parse().unwrap())
    }

    fn used(servers: u64, vcpus: u64, memory_mib: u64, disk_gib: u64) -> Used {
        Used { servers, vcpus, memory_mib, disk_gib, ..Used::default() }
    }

    #[test]
    fn every_bound_that_would_be_passed_is_named_with_what_is_used_asked_and_allowed() {
        let (project, vm) = names();
        let quota = Quota { servers: Some(1), memory_mib: Some(300), ..Quota::default() };
        let one = used(1, 1, 192, 2);
        assert_eq!(quota.admits(&project, &vm, Used::default(), one), Ok(()));
        let refused = quota.admits(&project, &vm, one, one).unwrap_err();
        assert_eq!(refused.code(), "project.quota");
        for told in [refused.english().cause, refused.japanese().cause] {
            for part in ["mail", "mx1", "1", "192", "300 MiB"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
    }

    #[test]
    fn a_bound_below_what_is_used_refuses_what_uses_more_and_nothing_else() {
        let (project, vm) = names();
        let quota = Quota { servers: Some(1), vcpus: Some(8), ..Quota::default() };
        let three = used(3, 3, 600, 6);
        assert!(quota.admits(&project, &vm, three, used(0, 1, 0, 0)).is_ok(), "no server more");
        assert!(quota.admits(&project, &vm, three, used(1, 0, 0, 0)).is_err());
        let over = quota.passed_by(&project, three).unwrap();
        assert!(over.english().cause.contains("servers: 3 of 1") && !over.english().cause.contains("vcpus"));
        assert_eq!(quota.left(three), Quota { servers: Some(0), vcpus: Some(5), ..Quota::default() });
        assert_eq!(Quota::default().passed_by(&project, three), None);
    }

    #[test]
    fn who_has_no_disk_left_is_told_what_it_is_used_for_and_who_lacks_other_things_is_not() {
        let (project, vm) = names();
        let quota = Quota { servers: Some(1), disk_gib: Some(10), ..Quota::default() };
        let snapshots = Used { disk_gib: 3, snapshots_gib: 3, ..Used::default() };
        let all = used(1, 1, 64, 2).plus(snapshots).plus(Used::kept(4));
        assert_eq!((all.disk_gib, all.beyond(snapshots)), (9, used(1, 1, 64, 2).plus(Used::kept(4))));
        let told = |more: Used| {
            let refused = quota.admits(&project, &vm, all, more).unwrap_err();
            (refused.english().cause, refused.japanese().cause)
        };
        let (en, ja) = told(used(0, 0, 0, 2));
        for part in ["9 GiB used and 2 GiB more", "servers: 2 GiB", "kept disks: 4 GiB", "snapshots: 3 GiB"] {
            assert!(en.contains(part), "{part}: {en}");
        }
        for part in ["サーバ 2 GiB", "残したディスク 4 GiB", "スナップショット 3 GiB"] {
            assert!(ja.contains(part), "{part}: {ja}");
        }
        assert!(!told(used(1, 0, 0, 1)).0.contains("kept disks"), "there is as much left as is asked");
        let refused = quota.admits(&project, &vm, all, used(0, 0, 0, 2)).unwrap_err();
        assert!(refused.english().remedy.contains("kept disks (watari disk list"), "{refused:?}");
        let over = Quota { disk_gib: Some(8), ..quota }.passed_by(&project, all).unwrap();
        assert!(over.english().cause.contains("kept disks: 4 GiB"), "{over:?}");
    }

    #[test]
    fn what_helps_is_told_of_what_is_lacking_and_of_nothing_else() {
        let (project, vm) = names();
        let helps = |quota: Quota, more: Used| {
            let refused = quota.admits(&project, &vm, Used::default(), more).unwrap_err();
            [refused.english().remedy, refused.japanese().remedy]
        };
        let all = used(2, 2, 300, 4);
        for told in helps(Quota { memory_mib: Some(299), ..Quota::default() }, all) {
            assert!(told.contains("watari vm resize") && told.contains("project set mail --memory"), "{told}");
            assert!(!told.contains("disk") && !told.contains("snapshot") && !told.contains("--servers"), "{told}");
        }
        for told in helps(Quota { servers: Some(1), ..Quota::default() }, all) {
            assert!(told.contains("watari vm list --project mail") && !told.contains("resize"), "{told}");
        }
        for told in helps(Quota { vcpus: Some(1), disk_gib: Some(1), ..Quota::default() }, all) {
            assert!(told.contains("watari disk list --project mail") && told.contains("--vcpus"), "{told}");
        }
        let lowered = Quota { servers: Some(1), ..Quota::default() }.passed_by(&project, all).unwrap();
        assert!(lowered.english().remedy.ends_with("watari project set mail --servers NUMBER"), "{lowered:?}");
    }

    #[test]
    fn a_service_of_before_does_not_say_what_helps() {
        let old = r#"{"kind":"project_quota","project":"mail","vm":"mx1","detail":{"en":"a","ja":"b"}}"#;
        let refused: Refusal = serde_json::from_str(old).unwrap();
        assert_eq!(refused.english().remedy, "see `watari project show mail`");
    }

    proptest! {
        #[test]
        fn whoever_is_admitted_one_after_another_never_passes_a_bound(
            most in (0..6_u64, 0..12_u64, 0..4_096_u64, 0..40_u64),
            asked in prop::collection::vec((0..3_u64, 0..4_u64, 0..1_024_u64, 0..9_u64), 0..20),
        ) {
            let (project, vm) = names();
            let quota = Quota {
                servers: Some(most.0), vcpus: Some(most.1), memory_mib: Some(most.2), disk_gib: Some(most.3),
            };
            let mut all = Used::default();
            for (servers, vcpus, memory, disk) in asked {
                let more = used(servers, vcpus, memory, disk);
                if quota.admits(&project, &vm, all, more).is_ok() {
                    all = all.plus(more);
                }
            }
            prop_assert_eq!(quota.passed_by(&project, all), None);
        }
    }
}
