//! `watari vm create`.

use std::num::NonZeroU32;

use clap::Args;
use watari_contracts::scheduler::{CreateVm, DiskView, Fault, GetDisk, VmView, WantedNic};
use watari_model::{Refusal, Said, size, userdata, vm};

use super::{
    edit::{Evacuate, OnIsolation, Restart, max_downtime},
    wait,
};
use crate::{Context, failure::Failure, input, lang::Lang, options::Waiting, out, texts};

/// What services call what is typed here, and in which unit it comes to them.
pub(super) const OPTIONS: &[(&str, &str, &str)] = &[
    ("vcpus", "--vcpus", ""),
    ("memory_mib", "--memory", "MiB"),
    ("disk_gib", "--disk", "GiB"),
    ("address", "--network", ""),
    ("networks", "--network", ""),
    ("groups", "--group", ""),
    ("keys", "--key", ""),
    ("firewalls", "--firewall", ""),
    ("node_labels", "--node-label", ""),
    ("probes", "--probe", ""),
    ("after", "--after", ""),
];

/// How large a new disk is if nobody says so.
const USUAL_GIB: u64 = 2;

/// What to make.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watari vm create mail --image mini --network campus --site myodaiji --wait
  watari vm create web2 --image mini --network campus=203.0.113.120 \\
    --vcpus 2 --memory 1GiB --disk 10GiB
  watari vm create db1 --image mini --network campus \\
    --group db:apart --firewall db
  watari vm create www --image debian --network campus --key sato \\
    --user-data cloud-config.yaml
  watari vm create web --image mini --network campus --after db
  watari vm create mail2 --from-disk mail-7b1d4c2e --network campus --wait")]
pub struct Create {
    /// The server's name
    name: String,
    /// The image under its disk
    #[arg(long, required_unless_present = "from_disk", conflicts_with = "from_disk")]
    image: Option<String>,
    /// A kept disk to begin with, on the node where it is, in place of a new one from an image (see `watari disk`)
    #[arg(long, value_name = "DISK")]
    from_disk: Option<String>,
    /// A network to be on, with a fixed address if wanted; may be given several times
    #[arg(long = "network", value_name = "NETWORK[=ADDRESS]")]
    networks: Vec<String>,
    /// The site where it belongs; without it the scheduler chooses
    #[arg(long)]
    site: Option<String>,
    /// The project that it is counted with (see `watari project`); without it `default`
    #[arg(long, default_value = "default", hide_default_value = true)]
    project: String,
    /// Virtual CPUs
    #[arg(long, default_value = "1")]
    vcpus: String,
    /// Memory
    #[arg(long, default_value = "192MiB", value_name = "SIZE")]
    memory: String,
    /// Disk [default: 2GiB, or as large as the kept disk]
    #[arg(long, value_name = "SIZE")]
    disk: Option<String>,
    /// A label that its node must carry; may be given several times
    #[arg(long = "node-label", value_name = "KEY=VALUE")]
    node_labels: Vec<String>,
    /// A group whose members are kept together or apart; may be given several times
    #[arg(long = "group", value_name = "GROUP:together|apart")]
    groups: Vec<String>,
    /// A firewall group that guards it; may be given several times. Without one it is open
    #[arg(long = "firewall", value_name = "GROUP")]
    firewalls: Vec<String>,
    /// A probe: how front ends ask it from outside, once a second, while an outage is under way. One of `tcp:PORT`,
    /// `smtp:PORT`, `http:PORT[/PATH]`, such as `http:80/status`, and `icmp`; may be given several times
    #[arg(long = "probe", value_name = "PROBE")]
    probes: Vec<String>,
    /// A server on which it depends: it leaves, comes home and is started after that one; may be given several times
    #[arg(long, value_name = "SERVER")]
    after: Vec<String>,
    /// What it does when its site is evacuated
    #[arg(long, value_enum, default_value_t = Evacuate::Live)]
    evacuate: Evacuate,
    /// Servers with a higher number leave and are started first, 0 to 100
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    priority: u8,
    /// Whether it is started again when it went off by itself, or with its node
    #[arg(long, value_enum, default_value_t = Restart::Always)]
    restart: Restart,
    /// What it does when its node is cut off from everybody
    #[arg(long, value_enum, default_value_t = OnIsolation::Keep)]
    on_isolation: OnIsolation,
    /// If its node is lost it is started from the copy of its disk elsewhere (see `watari vm preseed`), if no more is lost
    /// by that than what was written in so many seconds; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    restart_from_copy: u32,
    /// For so many seconds it may stand still at the end of a live move, up to 60, if it writes to its memory so fast that
    /// the move would not end otherwise; 0 for never, which slows it down instead
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = max_downtime())]
    max_downtime: u32,
    /// Give it a display, of which `watari vm screenshot` takes pictures; nobody can type at it
    #[arg(long)]
    display: bool,
    /// A public key with which one may log in (see `watari key`); may be given several times
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// A file for cloud-init, or - for standard input: #cloud-config, a script, or multipart; at most 64 KiB
    #[arg(long, value_name = "FILE")]
    user_data: Option<String>,
    /// What it calls itself, if not its name
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Do not start it yet
    #[arg(long, conflicts_with = "wait")]
    no_start: bool,
    #[command(flatten)]
    waiting: Waiting,
}

impl Create {
    /// Makes the server.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let waiting = self.waiting;
        let kept = match input::name_if(self.from_disk.as_deref())? {
            Some(name) => Some(ctx.session.ask(&GetDisk { name }).await?),
            None => None,
        };
        let place = kept.as_ref().map(|kept| (kept.node.clone(), kept.site.clone()));
        let asked = self.request(ctx.session.request_id(), kept)?;
        let mut view = ctx.session.ask(&asked).await.map_err(|failure| failure.of_options(OPTIONS))?;
        if let Some((node, site)) = place.filter(|(_, site)| *site != view.home_site) {
            out::say(&texts::leaving::begins_at_its_disk(ctx.out.lang, &view, node.as_str(), site.as_str()));
        }
        let warnings = std::mem::take(&mut view.warnings);
        // Who waits is told that it has no place when the waiting ends by that: once is enough.
        let (held, told): (Vec<_>, Vec<_>) = warnings.iter().partition(|one| waiting.wait && has_no_place(one));
        for warning in told {
            out::say(&warned(ctx.out.lang, warning));
        }
        if waiting.wait {
            let name = view.name.clone();
            view = wait::running(ctx, waiting, view).await.inspect_err(|failure| {
                for warning in held.iter().filter(|one| one.code != failure.code()) {
                    out::say(&warned(ctx.out.lang, warning));
                }
                if matches!(failure, Failure::Fault(_)) {
                    out::say(&texts::hints::stays_failed(ctx.out.lang, name.as_str()));
                }
            })?;
        }
        ctx.out.row(&VmView { warnings, ..view })
    }

    fn request(self, request_id: String, kept: Option<DiskView>) -> Result<CreateVm, Failure> {
        let name = input::name(&self.name)?;
        let (image, disk, usual_gib) = match kept {
            Some(kept) => (kept.image, Some(kept.name), kept.disk_gib),
            None => (input::name(self.image.as_deref().unwrap_or_default())?, None, USUAL_GIB),
        };
        let gib = |text: &String| size::parse_disk("--disk", text).map_err(Failure::mistyped);
        let disk_gib = self.disk.as_ref().map_or(Ok(usual_gib), gib)?;
        if disk.is_some() && disk_gib < usual_gib {
            let (vm, disk_gib, wanted_gib) = (self.name, usual_gib.to_string(), disk_gib.to_string());
            return Err(Failure::mistyped(Refusal::DiskShrinks { vm, disk_gib, wanted_gib }));
        }
        Ok(CreateVm {
            request_id: Some(request_id),
            name,
            image,
            project: input::name(&self.project)?,
            networks: self.networks.iter().map(|text| nic("--network", text)).collect::<Result<_, _>>()?,
            site: input::name_if(self.site.as_deref())?,
            vcpus: size::parse_vcpus("--vcpus", &self.vcpus).map_err(Failure::mistyped)?,
            memory_mib: size::parse_memory("--memory", &self.memory).map_err(Failure::mistyped)?,
            disk_gib,
            disk,
            node_labels: self
                .node_labels
                .iter()
                .map(|text| input::pair("--node-label", text))
                .collect::<Result<_, _>>()?,
            groups: self.groups.iter().map(|text| group("--group", text)).collect::<Result<_, _>>()?,
            firewalls: self.firewalls.iter().map(|text| input::name(text)).collect::<Result<_, _>>()?,
            probes: self.probes.iter().map(|text| probe("--probe", text)).collect::<Result<_, _>>()?,
            after: self.after.iter().map(|name| input::name(name)).collect::<Result<_, _>>()?,
            evacuate: self.evacuate.into(),
            priority: self.priority,
            restart: self.restart.into(),
            on_isolation: self.on_isolation.into(),
            restart_from_copy_seconds: NonZeroU32::new(self.restart_from_copy),
            max_downtime_seconds: NonZeroU32::new(self.max_downtime),
            display: self.display,
            hostname: self.hostname.as_deref().map(input::name).transpose()?,
            keys: self.keys.iter().map(|name| input::name(name)).collect::<Result<_, _>>()?,
            user_data: self.user_data.as_deref().map(user_data).transpose()?,
            start: !self.no_start,
        })
    }
}

/// Whether a server that is to start could be put nowhere, which is also what becomes of it then.
fn has_no_place(warning: &Fault) -> bool {
    warning.code.starts_with("placement.")
}

/// A warning in the person's language.
pub(crate) fn warned(lang: Lang, warning: &Fault) -> String {
    match lang {
        Lang::En => texts::warning(lang, &warning.code, &warning.cause, &warning.remedy),
        Lang::Ja => texts::warning(lang, &warning.code, &warning.ja.cause, &warning.ja.remedy),
    }
}

/// Read as far as one byte too much, so that what is too long is refused as such.
///
/// # Errors
/// [`Failure`] if there is no such file, or if cloud-init would not know what to do with it.
pub(crate) fn user_data(file: &str) -> Result<userdata::Text, Failure> {
    let text = input::text(file, userdata::MAX_BYTES + 1)?;
    userdata::check(&text).map_err(Failure::mistyped)?;
    Ok(userdata::Text(text))
}

/// `NETWORK[=ADDRESS]`.
///
/// # Errors
/// [`Failure::Mistyped`] naming `field`.
pub(crate) fn nic(field: &str, text: &str) -> Result<WantedNic, Failure> {
    let Some((network, address)) = text.split_once('=') else {
        return Ok(WantedNic { network: input::name(text)?, address: None });
    };
    let address = address.parse().map_err(|_| {
        let allowed = Said::new(
            "NETWORK or NETWORK=ADDRESS, with an IPv4 address such as 203.0.113.120",
            "NETWORK または NETWORK=ADDRESS の形 (アドレスは 203.0.113.120 のような IPv4)",
        );
        input::out_of_range(field, allowed, text)
    })?;
    Ok(WantedNic { network: input::name(network)?, address: Some(address) })
}

/// `tcp:22`, `smtp:25`, `http:80/path` or `icmp`.
///
/// # Errors
/// As [`nic`].
pub(super) fn probe(field: &str, text: &str) -> Result<vm::Probe, Failure> {
    input::value(field, Said::both("tcp:PORT, smtp:PORT, http:PORT[/PATH], icmp"), text)
}

/// `GROUP:together` or `GROUP:apart`.
///
/// # Errors
/// As [`nic`].
pub(crate) fn group(field: &str, text: &str) -> Result<vm::Membership, Failure> {
    let company = match text.rsplit_once(':') {
        Some((_, "together")) => vm::Company::Together,
        Some((_, "apart")) => vm::Company::Apart,
        _ => return Err(input::out_of_range(field, Said::both("GROUP:together, GROUP:apart"), text)),
    };
    Ok(vm::Membership { group: input::name(text.rsplit_once(':').map_or("", |(group, _)| group))?, company })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use watari_model::isolation;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    fn request(words: &str) -> Result<CreateVm, Failure> {
        let line = Line::try_parse_from(["create"].into_iter().chain(words.split(' '))).unwrap();
        line.create.request("r".to_owned(), None)
    }

    #[test]
    fn what_is_left_out_is_as_the_readme_says() {
        let request = request("mail --image mini --network campus").unwrap();
        assert_eq!((request.vcpus, request.memory_mib, request.disk_gib, request.start), (1, 192, 2, true));
        assert_eq!((request.networks.len(), request.networks[0].address), (1, None));
        assert_eq!((request.site, request.evacuate, request.priority), (None, vm::Evacuate::Live, 0));
        assert_eq!((request.hostname, request.keys.len(), request.user_data), (None, 0, None));
        assert_eq!((request.restart, request.on_isolation), (vm::Restart::Always, isolation::OnIsolation::Keep));
        assert_eq!((request.restart_from_copy_seconds, request.display), (None, false));
        assert_eq!(request.max_downtime_seconds, None);
        assert!(request.project.is_default());
    }

    #[test]
    fn everything_that_is_given_is_asked_for() {
        let words = "db1 --image mini --network a=203.0.113.7 --network b --site yamate --vcpus 2 --memory 1GiB --disk 10GiB \
                     --node-label rack=a3 --group db:apart --evacuate stay --priority 9 --restart never --on-isolation stop --restart-from-copy 3600 --max-downtime 20 --display --key sato --key abe --hostname db1.example.jp --project research --no-start";
        let request = request(words).unwrap();
        assert_eq!((request.vcpus, request.memory_mib, request.disk_gib), (2, 1024, 10));
        assert_eq!(request.networks[0].address, Some([203, 0, 113, 7].into()));
        assert_eq!(request.node_labels["rack"], "a3");
        assert_eq!(request.groups[0].company, vm::Company::Apart);
        assert_eq!((request.evacuate, request.priority, request.start), (vm::Evacuate::Stay, 9, false));
        assert_eq!((request.restart, request.on_isolation), (vm::Restart::Never, isolation::OnIsolation::Stop));
        assert_eq!((request.restart_from_copy_seconds.map(NonZeroU32::get), request.display), (Some(3_600), true));
        assert_eq!(request.max_downtime_seconds.map(NonZeroU32::get), Some(20));
        assert_eq!(request.keys.iter().map(ToString::to_string).collect::<Vec<_>>(), ["sato", "abe"]);
        assert_eq!(request.hostname.unwrap().as_str(), "db1.example.jp");
        assert_eq!(request.project.as_str(), "research");
    }

    #[test]
    fn a_kept_disk_stands_on_its_own_image_and_no_other_is_named_beside_it() {
        let samples = include_str!("../../../../shared/contracts/tests/golden/reply.DiskView.json");
        let kept = serde_json::from_str::<Vec<DiskView>>(samples).unwrap().swap_remove(0);
        let line = Line::try_parse_from(["create", "mail2", "--from-disk", "mail-7b1d4c2e"]).unwrap();
        let request = line.create.request("r".to_owned(), Some(kept.clone())).unwrap();
        let wanted = (kept.image.clone(), Some(kept.name.clone()), kept.disk_gib);
        assert_eq!((request.image, request.disk, request.disk_gib), wanted);
        for (size, gib) in [(kept.disk_gib - 1, None), (kept.disk_gib, Some(kept.disk_gib)), (90, Some(90))] {
            let disk = format!("{size}GiB");
            let words = ["create", "mail2", "--from-disk", "mail-7b1d4c2e", "--disk", disk.as_str()];
            let asked = Line::try_parse_from(words).unwrap().create.request("r".to_owned(), Some(kept.clone()));
            match gib {
                Some(gib) => assert_eq!(asked.unwrap().disk_gib, gib),
                None => assert_eq!(asked.unwrap_err().code(), "vm.disk-shrinks"),
            }
        }
        for words in [&["create", "mail2"][..], &["create", "mail2", "--image", "mini", "--from-disk", "mail-7b1d4c2e"]]
        {
            assert!(Line::try_parse_from(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_before_it_is_sent() {
        for words in [
            "ma.il --image mini",
            "mail --image >",
            "mail --image mini --memory 192",
            "mail --image mini --disk 0GiB",
            "mail --image mini --disk 10MiB",
            "mail --image mini --network campus=here",
            "mail --image mini --group db:near",
            "mail --image mini --group :apart",
            "mail --image mini --node-label rack",
            "mail --image mini --hostname Mail",
            "mail --image mini --key a/b",
            "mail --image mini --probe icmp:8",
        ] {
            let refused = request(words).unwrap_err();
            assert_eq!(refused.exit(), crate::failure::USAGE, "{words}");
            assert!(refused.code().starts_with("request."), "{words}");
        }
        assert_eq!(request("mail --image mini --user-data /dev/null").unwrap_err().code(), "vm.user-data-refused");
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said_with_what_may_be_given() {
        for (words, parts) in [
            ("--disk 10MiB", ["--disk is 10MiB", "a size with its unit from 1GiB to 64TiB", "1GiB～64TiB"]),
            ("--memory 128", ["--memory is 128", "with its unit (MiB, GiB or TiB) from 32MiB to 4TiB", "32MiB～4TiB"]),
            ("--vcpus 0", ["--vcpus is 0", "a number of CPUs from 1 to 256", "1～256"]),
            ("--network campus=here", ["--network is campus=here", "NETWORK", "IPv4"]),
        ] {
            let refused = request(&format!("mail --image mini {words}")).unwrap_err();
            let (en, ja) = (refused.rendered(Lang::En), refused.rendered(Lang::Ja));
            assert!(en.cause.contains(parts[0]) && en.remedy.contains(parts[1]), "{en:?}");
            assert!(ja.remedy.contains(parts[2]) && !en.cause.contains(parts[1]), "what to give is said once: {ja:?}");
        }
    }

    #[test]
    fn the_servers_on_which_it_depends_are_named() {
        let after = |words: &str| {
            let names = request(words)?.after;
            Ok::<_, Failure>(names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(after("web --image mini --after db --after cache").unwrap(), ["db", "cache"]);
        assert!(after("web --image mini").unwrap().is_empty() && after("web --image mini --after D_B").is_err());
    }

    #[test]
    fn the_probes_that_are_given_are_asked_for() {
        let probes = |words: &str| request(words).unwrap().probes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(probes("web --image mini --probe smtp:25 --probe icmp"), ["smtp:25", "icmp"]);
        assert!(probes("web --image mini").is_empty());
    }
}
