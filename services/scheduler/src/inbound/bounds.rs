//! What an operator of one project may ask for: what is about a server of that project. NATS lets such a key ask nothing but
//! what is [`Concerns`] here (`permissions::OF_A_PROJECT`), beside looking, and says of which project it is.

use watari_chassis::Call;
use watari_contracts::scheduler::{
    CreateSnapshot, CreateVm, DeleteSnapshot, DeleteVm, EditVm, RebootVm, ResizeVm, RevertSnapshot, StartVm, StopVm,
    VmConsole,
};
use watari_model::{DiskName, ProjectName, Refusal, VmName};

use super::{Desk, find};

/// What a request is about.
pub(super) struct Concern<'r> {
    vm: &'r VmName,
    /// The project of which the server is to be; as it is if none.
    project: Option<&'r ProjectName>,
    /// The kept disk that it is to have.
    disk: Option<&'r DiskName>,
}

/// A request about one server.
pub(super) trait Concerns {
    fn concern(&self) -> Concern<'_>;
}

macro_rules! concerns {
    ($($request:ident.$vm:ident),* $(,)?) => {$(
        impl Concerns for $request {
            fn concern(&self) -> Concern<'_> {
                Concern { vm: &self.$vm, project: None, disk: None }
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
        Concern { vm: &self.name, project: Some(&self.project), disk: self.disk.as_ref() }
    }
}

impl Concerns for EditVm {
    fn concern(&self) -> Concern<'_> {
        Concern { vm: &self.name, project: self.project.as_ref(), disk: None }
    }
}

impl Desk {
    /// Refuses whoever is bound to one project what is about another's server. Servers change their project by those alone
    /// who are bound to none.
    pub(super) async fn within_project(&self, call: &Call, request: &(impl Concerns + Sync)) -> Result<(), Refusal> {
        let Some(own) = &call.project else { return Ok(()) };
        let Concern { vm, project, disk } = request.concern();
        let there = find(&self.stores().vms, vm.as_str()).await?;
        let mut projects = there.iter().map(|entry| &entry.value.project).chain(project);
        if let Some(other) = projects.find(|project| project.as_str() != own) {
            let (vm, project, own) = (vm.to_string(), other.to_string(), own.clone());
            return Err(Refusal::ProjectOther { vm, project, own });
        }
        // A kept disk does not say of which project its server was.
        disk.map_or(Ok(()), |disk| Err(Refusal::ProjectDisk { disk: disk.to_string(), own: own.clone() }))
    }
}
