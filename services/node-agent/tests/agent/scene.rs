//! A hypervisor for the tests of this file, and an agent for each of them.

use std::{os::unix::fs::MetadataExt, path::PathBuf, time::Duration};

use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use watari_chassis::{CancellationToken, Pulse, prometheus::Registry};
use watari_contracts::agent::{Answer, ConsoleText, NodeFacts, Progress, ReadConsole, Server, VmFact};
use watari_model::{Refusal, image::Format, vm::Base};
use watari_node_agent::{
    DEFAULTS, Settings,
    agent::Agent,
    counts::Counts,
    hypervisor::{Config, Hypervisor, ProcessId},
    open,
    settings::{Memory, Virtualisation},
    work::Work,
};
use watari_testkit::orders;

/// No daemon of the machine's has a part in it.
const QEMU_CONF: &str = r#"
user = "root"
group = "root"
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"#;
const PREFIX: &str = "watari-agent-test-";
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// What all tests share: libvirt's embedded driver takes one folder a process.
pub(crate) struct Scene {
    folder: PathBuf,
    hypervisor: Hypervisor,
    base: Base,
    content: Vec<u8>,
}

pub(crate) async fn scene() -> &'static Scene {
    static SCENE: OnceCell<Scene> = OnceCell::const_new();
    SCENE.get_or_init(Scene::new).await
}

impl Scene {
    async fn new() -> Self {
        sweep();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        let root = folder.join("libvirt");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/qemu.conf"), QEMU_CONF).unwrap();
        let config = Config {
            uri: format!("qemu:///embed?root={}", root.display()),
            run_dir: root.join("run/qemu"),
            ..Config::default()
        };
        let hypervisor = Hypervisor::connect(config).unwrap();
        tokio::time::timeout(BOUND, hypervisor.ready()).await.unwrap();
        let content = vec![0; 1 << 20];
        let sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let base = Base { image: "empty".parse().unwrap(), sha256, format: Format::Raw, firmware: Default::default() };
        Self { folder, hypervisor, base, content }
    }

    /// An agent of its own for a test.
    pub(crate) async fn agent(&'static self, name: &str) -> TestAgent {
        self.agent_fetching(name, Vec::new()).await
    }

    /// The same, with places to fetch images from.
    pub(crate) async fn agent_fetching(&'static self, name: &str, sources: Vec<String>) -> TestAgent {
        let agent = TestAgent::open(self, self.folder.join(name), sources).await;
        self.with_image(agent)
    }

    /// An agent on a node without UEFI firmware.
    pub(crate) async fn agent_without_firmware(&'static self, name: &str) -> TestAgent {
        let bare = |settings: &mut Settings| settings.uefi.code = self.folder.join("nowhere.fd");
        let agent = TestAgent::open_with(self, self.folder.join(name), Vec::new(), bare).await;
        self.with_image(agent)
    }

    /// An agent that starts even small servers with places for more memory, and waits but a moment for who takes it.
    pub(crate) async fn agent_offering_memory(&'static self, name: &str) -> TestAgent {
        let small = |settings: &mut Settings| {
            settings.memory = Memory { grows_from_mib: 32, grows_times: 8, grows_emulated: true, take_seconds: 1 };
        };
        let agent = TestAgent::open_with(self, self.folder.join(name), Vec::new(), small).await;
        self.with_image(agent)
    }

    /// An agent that keeps nothing of the disk back, however small that is.
    pub(crate) async fn agent_without_reserve(&'static self, name: &str) -> TestAgent {
        let none = |settings: &mut Settings| settings.capacity.reserve_disk_gib = 0;
        let agent = TestAgent::open_with(self, self.folder.join(name), Vec::new(), none).await;
        self.with_image(agent)
    }

    fn with_image(&self, agent: TestAgent) -> TestAgent {
        let image = agent.agent.node().layout.image(&self.base.sha256, Format::Raw);
        std::fs::write(image, &self.content).unwrap();
        agent
    }

    /// What a server of that name is made of; the UUID follows from the name.
    pub(crate) fn server(&self, vm: &str) -> Server {
        let digits: String = Sha256::digest(vm).iter().map(|byte| format!("{byte:02x}")).collect();
        let uuid = format!(
            "{}-{}-4{}-8{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[13..16],
            &digits[17..20],
            &digits[20..32]
        );
        Server { base: self.base.clone(), ..orders::server(vm, &uuid) }
    }

    pub(crate) fn disk(&self, agent: &TestAgent, vm: &str) -> PathBuf {
        agent.agent.node().layout.disk(&self.server(vm).uuid)
    }

    pub(crate) fn inode(&self, agent: &TestAgent, vm: &str) -> u64 {
        std::fs::metadata(self.disk(agent, vm)).unwrap().ino()
    }

    pub(crate) async fn process(&self, vm: &str) -> Option<ProcessId> {
        let process = self.hypervisor.process(vm, &self.server(vm).uuid).await.unwrap();
        process.map(|process| process.id())
    }
}

/// Removes what earlier runs left, since what is shared has no end before the process's.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// An agent without a bus.
pub(crate) struct TestAgent {
    pub(crate) agent: Agent,
    scene: &'static Scene,
    folder: PathBuf,
    sources: Vec<String>,
    shutdown: CancellationToken,
    /// Whether the guest is to go on when this agent ends.
    keep: bool,
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // A test that failed leaves no guest behind: QEMU is nobody's child.
        let vm = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (hypervisor, vm, uuid) = (self.scene.hypervisor.clone(), vm.to_owned(), self.scene.server(vm).uuid);
        let kill = async move {
            if let Ok(Some(process)) = hypervisor.process(&vm, &uuid).await {
                let _ = process.kill();
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(kill));
    }
}

impl TestAgent {
    async fn open(scene: &'static Scene, folder: PathBuf, sources: Vec<String>) -> Self {
        Self::open_with(scene, folder, sources, |_| {}).await
    }

    async fn open_with(
        scene: &'static Scene,
        folder: PathBuf,
        sources: Vec<String>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings: Settings = toml::from_str(DEFAULTS).unwrap();
        settings.node = "m1".to_owned();
        settings.site = "myodaiji".to_owned();
        settings.data_dir = folder.join("data");
        settings.run_dir = folder.join("run");
        settings.virtualisation = Virtualisation::Qemu;
        // These servers have no cards that could be guarded, and other agents are on this machine.
        settings.networks.guard = false;
        settings.networks.rules_wait_ms = 200;
        settings.image.sources.clone_from(&sources);
        (settings.isolation.lease_ms, settings.isolation.stop_ms) = (3_000, 4_000);
        change(&mut settings);
        let counts = Counts::register(&Registry::new()).unwrap();
        let node = open(settings, scene.hypervisor.clone(), counts, "test".to_owned()).await.unwrap();
        let agent = Agent::restore(node).await.unwrap();
        let shutdown = CancellationToken::new();
        let (watching, ending) = (agent.clone(), shutdown.clone());
        tokio::spawn(async move { watching.watch(&ending, &Pulse::unwatched()).await });
        Self { agent, scene, folder, sources, shutdown, keep: false }
    }

    /// Ends this agent and begins another on the same folders.
    pub(crate) async fn restart(self) -> Self {
        let (scene, folder, sources) = (self.scene, self.folder.clone(), self.sources.clone());
        self.end().await;
        Self::open(scene, folder, sources).await
    }

    pub(crate) async fn restart_without_journal(self) -> Self {
        let (scene, folder, sources) = (self.scene, self.folder.clone(), self.sources.clone());
        let journal = self.agent.node().layout.journal();
        self.end().await;
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", journal.display()));
        }
        Self::open(scene, folder, sources).await
    }

    async fn end(mut self) {
        self.keep = true;
        self.shutdown.cancel();
        self.agent.node().journal.close().await;
    }

    pub(crate) async fn order(&self, work: impl Into<Work>) -> Result<Answer, Refusal> {
        self.agent.order(work).await
    }

    /// Repeats an order until it is over.
    pub(crate) async fn ended(&self, work: impl Into<Work>) -> Answer {
        let work = work.into();
        let repeat = async {
            loop {
                let answer = self.order(work.clone()).await.unwrap();
                if answer.progress != Progress::Working {
                    return answer;
                }
            }
        };
        tokio::time::timeout(BOUND, repeat).await.unwrap()
    }

    pub(crate) async fn done(&self, work: impl Into<Work>) -> Answer {
        let answer = self.ended(work).await;
        assert_eq!(answer.progress, Progress::Done);
        answer
    }

    pub(crate) async fn observe(&self, vm: &str) -> VmFact {
        self.agent.observe(&vm.parse().unwrap()).await
    }

    /// Observes until it is as it should be.
    pub(crate) async fn until(&self, vm: &str, holds: impl Fn(&VmFact) -> bool) -> VmFact {
        let wait = async {
            loop {
                let fact = self.observe(vm).await;
                if holds(&fact) {
                    return fact;
                }
            }
        };
        tokio::time::timeout(BOUND, wait).await.unwrap()
    }

    /// Waits until so many operations of that kind have ended so.
    pub(crate) async fn until_counted(&self, verb: &str, outcome: &str, times: u64) {
        let counter = self.agent.node().counts.operations.with_label_values(&[verb, outcome]);
        let wait = async {
            while counter.get() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, wait).await.unwrap();
    }

    /// What is reported of this test's server: the others' domains are here as well.
    pub(crate) fn facts(&self) -> NodeFacts {
        let mut facts = self.agent.node().facts.all();
        facts.vms.retain(|vm, _| self.folder.ends_with(vm.as_str()));
        facts
    }

    pub(crate) async fn console(&self, vm: &str, bytes: u64) -> Result<ConsoleText, Refusal> {
        self.agent.console(&ReadConsole { vm: vm.parse().unwrap(), bytes }).await
    }
}
