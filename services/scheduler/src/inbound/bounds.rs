//! What an operator of one project may ask for: what is about a server, or a kept disk, of that project. NATS lets such a
//! key ask nothing but what is [`Concerns`] here (`permissions::OF_A_PROJECT`), beside looking, and says of which project
//! it is.

use watari_chassis::Call;
use watari_contracts::scheduler::{
    CreateSnapshot, CreateVm, DeleteDisk, DeleteSnapshot, DeleteVm, EditVm, RebootVm, ResizeVm, RevertSnapshot,
    StartVm, StopVm, VmConsole,
};
use watari_model::{DiskName, ProjectName, Refusal, VmName};

use super::{Desk, find};
use crate::core::disks;

/// What a request is about.
#[derive(Default)]
pub(super) struct Concern<'r> {
    /// The server, if it is about one.
    vm: Option<&'r VmName>,
    /// The project of which the server is to be; as it is if none.
    project: Option<&'r ProjectName>,
    /// The kept disk that the server is to have, or that is to go.
    disk: Option<&'r DiskName>,
}

/// A request about one server or kept disk.
pub(super) trait Concerns {
    fn concern(&self) -> Concern<'_>;
}

macro_rules! concerns {
    ($($request:ident.$vm:ident),* $(,)?) => {$(
        impl Concerns for $request {
            fn concern(&self) -> Concern<'_> {
                Concern { vm: Some(&self.$vm), ..Concern::default() }
            }
        }
    )*};
}

concerns!(
    StartVm.name,
    StopVm.name,
    RebootVm.name,
    ResizeVm.name,
    DeleteVm.name,
    VmConsole.name,
    CreateSnapshot.vm,
    RevertSnapshot.vm,
    DeleteSnapshot.vm,
);

impl Concerns for CreateVm {
    fn concern(&self) -> Concern<'_> {
        Concern { vm: Some(&self.name), project: Some(&self.project), disk: self.disk.as_ref() }
    }
}

impl Concerns for EditVm {
    fn concern(&self) -> Concern<'_> {
        Concern { vm: Some(&self.name), project: self.project.as_ref(), disk: None }
    }
}

impl Concerns for DeleteDisk {
    fn concern(&self) -> Concern<'_> {
        Concern { disk: Some(&self.name), ..Concern::default() }
    }
}

impl Desk {
    /// Refuses whoever is bound to one project what is about another's server or kept disk. Servers change their project
    /// by those alone who are bound to none.
    pub(super) async fn within_project(&self, call: &Call, request: &(impl Concerns + Sync)) -> Result<(), Refusal> {
        let Some(own) = &call.project else { return Ok(()) };
        let Concern { vm, project, disk } = request.concern();
        let there = match vm {
            Some(vm) => find(&self.stores().vms, vm.as_str()).await?,
            None => None,
        };
        let mut projects = there.iter().map(|entry| &entry.value.project).chain(project);
        if let (Some(vm), Some(other)) = (vm, projects.find(|project| project.as_str() != own)) {
            let (vm, project, own) = (vm.to_string(), other.to_string(), own.clone());
            return Err(Refusal::ProjectOther { vm, project, own });
        }
        match disk.filter(|disk| !self.is_of(disk, own)) {
            Some(disk) => Err(Refusal::ProjectDisk { disk: disk.to_string(), own: own.clone() }),
            None => Ok(()),
        }
    }

    /// Whether a kept disk is known to be of a project. One of which that is not known is nobody's. One that a server of
    /// the project has by now is: whoever repeats the making of that server is answered.
    fn is_of(&self, disk: &DiskName, own: &str) -> bool {
        let snap = self.stores().snapshot();
        let project = match disks::named(&snap, disk) {
            Some(kept) => kept.disk.project.as_ref(),
            None => disks::heir(&snap, disk).map(|vm| &vm.project),
        };
        project.is_some_and(|project| project.as_str() == own)
    }
}
