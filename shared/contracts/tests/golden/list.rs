//! Which types the samples are of. The lists in the contracts say whether this one is complete.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use watari_contracts::{Request, address, agent, firewall, image, monitor, network, plan, saving, scheduler};
use watari_model::{
    address::PublicAddress, firewall::Firewall, frontend::Primacy, image::Image, key::Key, migration::Migration,
    network::Network, network::Port, node::Node, outage::Outage, project::Project, site::Site, userdata::UserData,
    vm::Vm,
};

use crate::{chapter::Entry, compare::Samples};

macro_rules! each_request {
    ($apply:ident) => {
        $apply! {
            scheduler: CreateVm GetVm ListVms StartVm StopVm RebootVm ResizeVm EditVm DeleteVm MigrateVm PreseedVm VmConsole VmConsoleLog VmScreenshot
                CreateSnapshot RevertSnapshot DeleteSnapshot
                ListMigrations
                GetMigration CancelMigration ListSites EvacuateSite ReturnSite TellPower PromoteFrontEnd DrainNode GetOutage
                ListOutages PlanOutage RehearseOutage ScheduleOutage RescheduleOutage StartOutage PauseOutage ResumeOutage ShutDownNodes WithdrawOutage CancelOutage
                GetDisk ListDisks DeleteDisk
                AddKey GetKey ListKeys DeleteKey
                CreateProject GetProject ListProjects SetProject DeleteProject;
            image: ImportImage SaveImage EditImage GetImage ListImages DeleteImage ReportCopy;
            network: CreateNetwork GetNetwork ListNetworks EditNetwork ClearAddress DeleteNetwork ListPorts AllocatePort ReplacePort
                ReleasePorts;
            address: AllocateAddress GetAddress ListAddresses AssociateAddress DisassociateAddress ReleaseAddress;
            firewall: CreateFirewall GetFirewall ListFirewalls DeleteFirewall AllowFirewall RevokeFirewall ReplaceFirewall;
            monitor: ListNodes GetNode CordonNode UncordonNode ConfirmNodeOff PowerNode RemoveNode ListHealth ListUpses ListEvents ListHistory ReportUsage;
        }
    };
}

pub(crate) fn requests(samples: &Samples) {
    macro_rules! check {
        ($($owner:ident: $($request:ident)*;)*) => { $($(samples.request::<$owner::$request>();)*)* };
    }
    each_request!(check);
}

/// What the guides say of each.
pub(crate) fn entries(samples: &Samples) -> Vec<Entry> {
    macro_rules! each {
        ($($owner:ident: $($request:ident)*;)*) => { vec![$($(Entry::of::<$owner::$request>(samples)),*),*] };
    }
    each_request!(each)
}

/// Reads each sample as its request; the subjects that were read.
pub(crate) fn shortest(samples: &BTreeMap<String, Value>) -> BTreeSet<&'static str> {
    fn read<R: Request>(samples: &BTreeMap<String, Value>) -> &'static str {
        let sample = samples.get(R::SUBJECT).unwrap_or_else(|| panic!("no shortest form of {}", R::SUBJECT));
        if let Err(error) = serde_json::from_value::<R>(sample.clone()) {
            panic!("{}: {error}", R::SUBJECT);
        }
        R::SUBJECT
    }
    macro_rules! check {
        ($($owner:ident: $($request:ident)*;)*) => { BTreeSet::from([$($(read::<$owner::$request>(samples)),*),*]) };
    }
    each_request!(check)
}

pub(crate) fn commands(samples: &Samples) {
    macro_rules! check {
        ($($command:ident)*) => { $(samples.command::<agent::$command>();)* };
    }
    check! {
        Start Stop Suspend Reboot Remove Receive Send Abort Resume Grow Freeze TakeSnapshot RevertDisk SendAhead
        MeasureWay
        DropLayers DropDisk Discard Release ShutDown Hold Observe ObserveAll TakeInventory ReadConsole TakePicture UseConsole
        KeepConsole
    }
    samples.command::<plan::LayPlan>();
    samples.command::<saving::SaveDisk>();
}

pub(crate) fn documents(samples: &Samples) {
    samples.document::<Vm>();
    samples.document::<Migration>();
    samples.document::<Outage>();
    samples.document::<Site>();
    samples.document::<Key>();
    samples.document::<Project>();
    samples.document::<UserData>();
    samples.document::<Primacy>();
    samples.document::<Image>();
    samples.document::<Network>();
    samples.document::<Port>();
    samples.document::<PublicAddress>();
    samples.document::<Firewall>();
    samples.document::<Node>();
}
