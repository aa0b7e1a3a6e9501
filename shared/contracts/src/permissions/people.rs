//! What people may ask, by how much they are trusted with.

use crate::{Request, address, firewall, frontend, image, monitor, network, probe, scheduler, subjects};

/// Everything that a viewer may ask. The other requests change something.
pub const LOOKING: &[&str] = &[
    scheduler::GetVm::SUBJECT,
    scheduler::ListVms::SUBJECT,
    scheduler::VmConsoleLog::SUBJECT,
    scheduler::VmScreenshot::SUBJECT,
    scheduler::ListMigrations::SUBJECT,
    scheduler::GetMigration::SUBJECT,
    scheduler::ListSites::SUBJECT,
    scheduler::GetOutage::SUBJECT,
    scheduler::ListOutages::SUBJECT,
    scheduler::RehearseOutage::SUBJECT,
    scheduler::GetDisk::SUBJECT,
    scheduler::ListDisks::SUBJECT,
    scheduler::GetKey::SUBJECT,
    scheduler::ListKeys::SUBJECT,
    scheduler::GetProject::SUBJECT,
    scheduler::ListProjects::SUBJECT,
    image::GetImage::SUBJECT,
    image::ListImages::SUBJECT,
    network::GetNetwork::SUBJECT,
    network::ListNetworks::SUBJECT,
    network::ListPorts::SUBJECT,
    address::GetAddress::SUBJECT,
    address::ListAddresses::SUBJECT,
    firewall::GetFirewall::SUBJECT,
    firewall::ListFirewalls::SUBJECT,
    monitor::ListNodes::SUBJECT,
    monitor::GetNode::SUBJECT,
    monitor::ListHealth::SUBJECT,
    monitor::ListUpses::SUBJECT,
    monitor::ListEvents::SUBJECT,
    monitor::ListHistory::SUBJECT,
    monitor::ReportUsage::SUBJECT,
];

/// What only an administrator may ask: it changes the cloud itself rather than the servers in it. (Hosts, keys and backups are
/// beyond everybody here: they are root's, on a front end.)
pub const ADMINISTERING: &[&str] = &[
    scheduler::CreateProject::SUBJECT,
    scheduler::SetProject::SUBJECT,
    scheduler::DeleteProject::SUBJECT,
    monitor::RemoveNode::SUBJECT,
];

/// What an operator of one project may ask besides looking. The scheduler looks whether it is about a server, or a kept
/// disk, of that project.
pub const OF_A_PROJECT: &[&str] = &[
    scheduler::CreateVm::SUBJECT,
    scheduler::StartVm::SUBJECT,
    scheduler::StopVm::SUBJECT,
    scheduler::RebootVm::SUBJECT,
    scheduler::ResizeVm::SUBJECT,
    scheduler::EditVm::SUBJECT,
    scheduler::DeleteVm::SUBJECT,
    scheduler::VmConsole::SUBJECT,
    scheduler::CreateSnapshot::SUBJECT,
    scheduler::RevertSnapshot::SUBJECT,
    scheduler::DeleteSnapshot::SUBJECT,
    scheduler::DeleteDisk::SUBJECT,
];

/// What whoever does more than look may ask, if nothing is taken away from it.
pub(super) const WORKING: &[&str] = &[subjects::REQUESTS, "$SRV.>", frontend::STANDING, probe::SEEN];

/// By what everybody sees who stands by, and what servers answer.
pub(super) const PRESENCE: &[&str] = &[frontend::STANDING, probe::SEEN];
