//! Servers' consoles, with a real QEMU and a guest that writes what it reads.

use sha2::{Digest, Sha256};
use watari_contracts::agent::{Bytes, ConsoleAct, ConsolePart, DiskUse, Start, UseConsole};
use watari_model::{Refusal, image::Format, vm::Base};

use crate::{
    remove,
    scene::{BOUND, Scene, TestAgent, scene},
    start, stop,
};

/// A boot sector for the first serial port: `again: mov dx, 3FDh; sti; look: in al, dx; test al, 1; jnz read; hlt;
/// jmp look; read: mov dx, 3F8h; in al, dx; out dx, al; jmp again`.
const ECHO: [u8; 19] =
    [0xba, 0xfd, 0x03, 0xfb, 0xec, 0xa8, 0x01, 0x75, 0x03, 0xf4, 0xeb, 0xf8, 0xba, 0xf8, 0x03, 0xec, 0xee, 0xeb, 0xed];

/// Starts a server that boots from it.
fn echoing(scene: &Scene, agent: &TestAgent, vm: &str) -> Start {
    let mut content = vec![0_u8; 1 << 20];
    content[..ECHO.len()].copy_from_slice(&ECHO);
    content[510..512].copy_from_slice(&[0x55, 0xaa]);
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(agent.agent.node().layout.image(&sha256, Format::Raw), &content).unwrap();
    let mut order = start(scene, vm, 1, DiskUse::MayCreate);
    order.server.base = Base { image: "echo".parse().unwrap(), sha256, format: Format::Raw };
    order
}

/// Somebody at the console.
struct Person<'a> {
    scene: &'a Scene,
    agent: &'a TestAgent,
    vm: &'a str,
    name: &'a str,
    seen: u64,
    typed: u64,
    text: String,
}

impl<'a> Person<'a> {
    fn new(scene: &'a Scene, agent: &'a TestAgent, vm: &'a str, name: &'a str) -> Self {
        Self { scene, agent, vm, name, seen: 0, typed: 0, text: String::new() }
    }

    async fn does(&self, act: ConsoleAct) -> Result<ConsolePart, Refusal> {
        let (vm, uuid) = (self.vm.parse().unwrap(), self.scene.server(self.vm).uuid);
        let order = UseConsole { vm, uuid, session: format!("of-{}", self.name), by: self.name.to_owned(), act };
        self.agent.agent.use_console(order).await
    }

    async fn opens(&self, take_over: bool) -> Result<ConsolePart, Refusal> {
        self.does(ConsoleAct::Open { take_over }).await
    }

    /// Types it as if the first answer had been lost.
    async fn types(&mut self, text: &str) {
        let act = ConsoleAct::Type { from: self.typed, bytes: Bytes(text.as_bytes().to_vec()) };
        for _ in 0..2 {
            let part = self.does(act.clone()).await.unwrap();
            assert_eq!(part.typed, self.typed + text.len() as u64);
        }
        self.typed += text.len() as u64;
    }

    async fn reads(&mut self) -> Result<(), Refusal> {
        let part = self.does(ConsoleAct::Follow { from: self.seen }).await?;
        assert_eq!(part.from, self.seen, "nothing is lost");
        self.seen += part.output.0.len() as u64;
        self.text.push_str(&String::from_utf8(part.output.0).unwrap());
        Ok(())
    }

    async fn reads_until(&mut self, wanted: &str) {
        let read = async {
            while !self.text.ends_with(wanted) {
                self.reads().await.unwrap();
            }
        };
        tokio::time::timeout(BOUND, read).await.unwrap();
    }

    /// What comes before the guest has booted may be lost to the firmware.
    async fn wakes(&mut self) {
        let wake = async {
            while self.text.is_empty() {
                self.types("!").await;
                self.reads().await.unwrap();
            }
        };
        tokio::time::timeout(BOUND, wake).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_types_at_a_console_and_another_may_take_it_over() {
    let scene = scene().await;
    let agent = scene.agent("echo").await;
    let mut sato = Person::new(scene, &agent, "echo", "sato");
    let mut suzuki = Person::new(scene, &agent, "echo", "suzuki");
    assert!(matches!(sato.opens(false).await, Err(Refusal::VmUnknown { .. })));
    agent.done(echoing(scene, &agent, "echo")).await;
    assert!(matches!(sato.does(ConsoleAct::Close).await, Err(Refusal::ConsoleOver { .. })), "it is not open");

    sato.opens(false).await.unwrap();
    sato.opens(false).await.unwrap();
    sato.wakes().await;
    sato.types("hello").await;
    sato.reads_until("hello").await;
    assert!(!sato.text.contains("hellohello"), "what is asked for twice is typed once: {}", sato.text);
    let missing = ConsoleAct::Type { from: sato.typed + 1, bytes: Bytes(vec![b'x']) };
    assert!(matches!(sato.does(missing).await, Err(Refusal::Malformed { .. })));

    let held = suzuki.opens(false).await;
    assert!(matches!(&held, Err(Refusal::ConsoleHeld { by, .. }) if by.en == "sato"), "{held:?}");
    suzuki.opens(true).await.unwrap();
    assert!(matches!(sato.reads().await, Err(Refusal::ConsoleOver { .. })));
    suzuki.wakes().await;
    suzuki.types("again").await;
    suzuki.reads_until("again").await;
    // Who typed, and when nobody had it open, is all one to the log.
    let logged = async {
        loop {
            let log = agent.console("echo", 10_000).await.unwrap().text;
            if log.contains("hello") && log.ends_with("again") {
                return;
            }
        }
    };
    tokio::time::timeout(BOUND, logged).await.unwrap();

    agent.done(stop("echo", 1)).await;
    let end = async { while suzuki.reads().await.is_ok() {} };
    tokio::time::timeout(BOUND, end).await.unwrap();
    assert!(matches!(suzuki.reads().await, Err(Refusal::ConsoleOver { .. })));
    assert!(matches!(suzuki.opens(false).await, Err(Refusal::AgentState { .. })), "nobody types at what is off");
    agent.done(remove(scene, "echo", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_a_plain_name_and_types_little_at_a_time() {
    let scene = scene().await;
    let agent = scene.agent("plain").await;
    agent.done(start(scene, "plain", 1, DiskUse::MayCreate)).await;
    let person = Person::new(scene, &agent, "plain", "a.b");
    assert!(matches!(person.opens(false).await, Err(Refusal::OutOfRange { .. })));
    let person = Person::new(scene, &agent, "plain", "sato");
    person.opens(false).await.unwrap();
    let much = ConsoleAct::Type { from: 0, bytes: Bytes(vec![b'x'; 5_000]) };
    assert!(matches!(person.does(much).await, Err(Refusal::TooLarge { .. })));
    person.does(ConsoleAct::Close).await.unwrap();
    let other = Person::new(scene, &agent, "plain", "suzuki");
    other.opens(false).await.unwrap();
    agent.done(remove(scene, "plain", 1)).await;
}
