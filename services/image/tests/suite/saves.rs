//! Images that are saved from servers, whose disks simulated nodes copy.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use crate::harness::*;
use reqwest::Client;
use watari_chassis::{Bucket, Context, Entry, Server as Commands, clock};
use watari_contracts::{
    ErrorBody, Service,
    image::{DeleteImage, ImageView, SaveImage},
    saving::{DiskCopy, DiskSaving, SaveDisk, SendTo, Server, Stage},
};
use watari_model::{
    Refusal,
    image::{Consistency, State, Taken},
    vm::{self, Grant, Vm},
};
use watari_testkit::{eventually, eventually_some};

/// What a node does with orders.
#[derive(Clone)]
enum Mood {
    /// It goes on copying.
    Copies,
    /// It has copied, and sends when it knows where to.
    Sends,
    /// It has copied, and does not get through.
    Stuck,
    /// So many times it says this; then it sends.
    Fails(Refusal, usize),
}

/// A node that copies no disk, but has the file that a copy would be.
#[derive(Clone)]
struct Node {
    file: Arc<Vec<u8>>,
    mood: Arc<Mutex<Mood>>,
    heard: Arc<Mutex<Vec<SaveDisk>>>,
    sent: Arc<Mutex<BTreeSet<String>>>,
    client: Client,
}

impl Node {
    async fn start(place: &Place, name: &str, mood: Mood, file: Vec<u8>) -> Self {
        let node = Self {
            file: Arc::new(file),
            mood: Arc::new(Mutex::new(mood)),
            heard: Arc::default(),
            sent: Arc::default(),
            client: place.operator(),
        };
        let ctx = Context::new(Service::NodeAgent, &place.common()).await.unwrap();
        let of = node.clone();
        let commands = Commands::new(&ctx, Service::NodeAgent).commands(&name.parse().unwrap());
        let server = commands.command::<SaveDisk, _, _>(move |_, order| {
            let node = of.clone();
            async move { Ok(DiskSaving { stage: node.answer(order) }) }
        });
        tokio::spawn(server.done().serve_always());
        node
    }

    fn answer(&self, order: SaveDisk) -> Stage {
        self.heard.lock().unwrap().push(order.clone());
        let mut mood = self.mood.lock().unwrap();
        match &mut *mood {
            Mood::Copies => Stage::Copying { copied_bytes: 3, total_bytes: 10 },
            Mood::Fails(refusal, times) if *times > 0 => {
                // Another copy is asked for by another name; this one has failed for good.
                *times -= 1;
                Stage::Failed(refusal.clone())
            }
            Mood::Stuck => Stage::Whole(self.copy()),
            Mood::Sends | Mood::Fails(..) => {
                if let Some(send_to) = order.send_to.filter(|to| self.sent.lock().unwrap().insert(to.token.clone())) {
                    tokio::spawn(self.clone().send(send_to));
                }
                Stage::Whole(self.copy())
            }
        }
    }

    fn copy(&self) -> DiskCopy {
        let taken = Taken { at: clock::now(), consistency: Consistency::Filesystem };
        let size_bytes = self.file.len() as u64;
        DiskCopy { size_bytes, sha256: sha256(&self.file), taken, server: Server::Running }
    }

    async fn send(self, to: SendTo) {
        let body = (*self.file).clone();
        let sent = self.client.put(format!("{}?offset=0", to.url)).bearer_auth(to.token).body(body).send().await;
        assert_eq!(sent.unwrap().status(), 200);
    }

    fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The names of the copies that were ordered.
    fn copies(&self) -> BTreeSet<String> {
        self.heard.lock().unwrap().iter().map(|order| order.operation.clone()).collect()
    }
}

/// What the scheduler would write.
struct Servers(Bucket<Vm>);

impl Servers {
    /// One that runs on a node.
    async fn with_mail(front: &Front, node: &str) -> Self {
        let servers = Self(Bucket::<Vm>::open(&front.other).await.unwrap());
        let mut mail = server("mail", "mini", &"0".repeat(64));
        mail.state = vm::State::Running;
        mail.grant = Some(Grant { node: node.parse().unwrap(), generation: 1 });
        servers.0.create(&mail).await.unwrap();
        servers
    }

    async fn change(&self, change: impl FnOnce(&mut Vm)) {
        let Entry { mut value, revision, .. } = self.0.get("mail").await.unwrap().unwrap();
        change(&mut value);
        self.0.update(&value, revision).await.unwrap();
    }
}

impl Front {
    async fn save(&self, name: &str, vm: &str, request_id: &str) -> Result<ImageView, ErrorBody> {
        let (name, vm) = (name.parse().unwrap(), vm.parse().unwrap());
        asked(self.bus(), &SaveImage { request_id: Some(request_id.to_owned()), name, vm }).await
    }

    /// Asks as soon as the server is known here.
    async fn saves(&self, name: &str) -> ImageView {
        eventually_some("mail may be saved", SOON, || async { self.save(name, "mail", name).await.ok() }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_becomes_an_image_that_says_of_whom_and_when_it_is() {
    let place = Place::new();
    let [first, second] = place.both().await;
    let file = qcow2(2, 1);
    let node = Node::start(&place, "m1", Mood::Copies, file.clone()).await;
    let _servers = Servers::with_mail(&first, "m1").await;
    assert_eq!(first.saves("kept").await.state, State::Importing);
    let copying = eventually_some("the node copies", SOON, || async {
        first.show("kept").await.unwrap().saved_from?.copying.filter(|c| c.total_bytes > 0)
    })
    .await;
    assert_eq!((copying.node.as_str(), copying.copied_bytes, copying.total_bytes), ("m1", 3, 10));
    assert!(node.heard.lock().unwrap().iter().all(|order| order.send_to.is_none()), "there is nothing to be sent yet");

    node.feels(Mood::Sends);
    let ready = first.settled("kept").await;
    assert_eq!((ready.state, ready.sha256), (State::Ready, Some(sha256(&file))), "{:?}", ready.fault);
    let from = ready.saved_from.unwrap();
    let consistency = from.taken.map(|taken| taken.consistency);
    assert_eq!((from.vm.as_str(), consistency, from.copying), ("mail", Some(Consistency::Filesystem), None));
    first.copied("kept").await;
    assert_eq!(node.copies().len(), 1, "one copy was enough");
    let order = node.heard.lock().unwrap().first().cloned().unwrap();
    assert_eq!((order.vm.as_str(), order.generation, order.image.as_str()), ("mail", 1, "kept"));
    first.is_tidy(1).await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_came_to_nothing_is_made_anew_and_after_some_the_image_is_given_up() {
    let place = Place::new();
    let front = place.alone().await;
    let left = Refusal::AgentState {
        vm: "mail".to_owned(),
        node: "m1".to_owned(),
        state: "wanted otherwise since".to_owned(),
        wanted: "be saved as an image".to_owned(),
    };
    let file = qcow2(1, 2);
    let node = Node::start(&place, "m1", Mood::Fails(left.clone(), 1), file.clone()).await;
    let _servers = Servers::with_mail(&front, "m1").await;
    front.saves("kept").await;
    let ready = front.settled("kept").await;
    assert_eq!(ready.sha256, Some(sha256(&file)), "{:?}", ready.fault);
    assert_eq!(node.copies().len(), 2, "another try is another copy");

    // What stays is not tried again.
    node.feels(Mood::Fails(Refusal::Unsupported { what: "saving".to_owned() }, 1));
    front.saves("never").await;
    let fault = front.settled("never").await.fault.unwrap();
    assert!(fault.code == "image.save-failed" && fault.cause.contains("saving"), "{fault:?}");
    assert_eq!(node.copies().len(), 3);
    front.is_tidy(1).await;
    front.stop().await;

    let mut settings = place.settings(0);
    settings.peers.clear();
    settings.saves.max_tries = 2;
    let front = place.start_with(settings).await;
    front.leads().await;
    node.feels(Mood::Fails(left, usize::MAX));
    front.saves("often").await;
    let fault = front.settled("often").await.fault.unwrap();
    assert!(fault.code == "image.save-failed" && fault.cause.contains("wanted otherwise since"), "{fault:?}");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_falls_silent_loses_its_copy_and_the_server_is_saved_where_it_is_by_then() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.peers.clear();
    settings.saves.silence_seconds = 1;
    let front = place.start_with(settings).await;
    front.leads().await;
    // Nobody answers for m1.
    let servers = Servers::with_mail(&front, "m1").await;
    front.saves("kept").await;
    let lost =
        eventually_some("the copy is lost", SOON, || async { front.show("kept").await.unwrap().saved_from?.lost })
            .await;
    assert_eq!(lost.code, "bus.no-answer");
    // While it is moved it is waited for.
    servers.change(|mail| mail.state = vm::State::Migrating).await;
    let file = qcow2(1, 3);
    let node = Node::start(&place, "y1", Mood::Sends, file.clone()).await;
    servers
        .change(|mail| {
            mail.state = vm::State::Running;
            mail.grant = Some(Grant { node: "y1".parse().unwrap(), generation: 2 });
        })
        .await;
    assert_eq!(front.settled("kept").await.sha256, Some(sha256(&file)));
    assert!(node.heard.lock().unwrap().iter().all(|order| order.generation == 2));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_server_ends_its_saving_and_a_deleted_image_its_copy() {
    let place = Place::new();
    let front = place.alone().await;
    let node = Node::start(&place, "m1", Mood::Copies, qcow2(1, 4)).await;
    let servers = Servers::with_mail(&front, "m1").await;
    front.saves("unwanted").await;
    eventually("the node is asked", SOON, || async { !node.heard.lock().unwrap().is_empty() }).await;
    asked(front.bus(), &DeleteImage { name: "unwanted".parse().unwrap() }).await.unwrap();
    eventually("it is gone", SOON, || async { front.show("unwanted").await.is_err() }).await;
    let asked_for = node.copies();

    front.saves("kept").await;
    eventually("another copy is asked for", SOON, || async { node.copies().len() > asked_for.len() }).await;
    servers.change(|mail| mail.state = vm::State::Deleting).await;
    assert_eq!(front.settled("kept").await.fault.unwrap().code, "image.server-gone");
    let last = node.heard.lock().unwrap().last().cloned().unwrap();
    assert!(!asked_for.contains(&last.operation), "the copy of the deleted image is asked for again");
    front.is_tidy(0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_does_not_get_through_is_given_up_with_its_reason() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.peers.clear();
    // Shorter than the configuration allows: a copy that is not sent is stale at once.
    settings.limits.import_patience_minutes = 0;
    let front = place.start_with(settings).await;
    front.leads().await;
    let _node = Node::start(&place, "m1", Mood::Stuck, qcow2(1, 5)).await;
    let _servers = Servers::with_mail(&front, "m1").await;
    front.saves("kept").await;
    let failed = front.settled("kept").await;
    let fault = failed.fault.unwrap();
    assert!(fault.code == "image.save-failed" && fault.cause.contains("no byte"), "{fault:?}");
    front.is_tidy(0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senseless_savings_are_refused_and_repeated_ones_are_the_same() {
    let place = Place::new();
    let front = place.alone().await;
    let _node = Node::start(&place, "m1", Mood::Copies, qcow2(1, 6)).await;
    let servers = Servers::with_mail(&front, "m1").await;
    front.saves("kept").await;
    let told = |refused: Result<ImageView, ErrorBody>| refused.map_err(|body| body.code);
    assert_eq!(told(front.save("kept", "mail", "kept").await).map(|view| view.state), Ok(State::Importing));
    assert_eq!(told(front.save("kept", "mail", "another").await), Err("image.exists".to_owned()));
    assert_eq!(told(front.save("kept", "other", "kept").await), Err("request.id-reused".to_owned()));
    assert_eq!(told(front.save("next", "nobody", "r").await), Err("vm.unknown".to_owned()));
    assert_eq!(told(front.save("next", "mail", "").await), Err("request.out-of-range".to_owned()));
    // No ticket for the one is a ticket for the other.
    let taken = front.announce("kept", "kept", 100, None).await;
    assert_eq!(taken.unwrap_err().code, "request.id-reused");
    servers.change(|mail| (mail.state, mail.grant) = (vm::State::Pending, None)).await;
    // The news may come late: what was accepted before would be repeated, not refused.
    let (asked, mut tries) = (&front, 0_u32);
    eventually("a server without a disk is refused", SOON, || {
        tries += 1;
        async move {
            let (image, request) = (format!("next-{tries}"), format!("r-{tries}"));
            told(asked.save(&image, "mail", &request).await) == Err("vm.state".to_owned())
        }
    })
    .await;
    assert_eq!(front.show("next").await.unwrap_err().code, "image.unknown");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn savings_count_among_what_one_user_may_have_under_way() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.peers.clear();
    settings.limits.max_user_imports = 1;
    let front = place.start_with(settings).await;
    front.leads().await;
    let _node = Node::start(&place, "m1", Mood::Copies, qcow2(1, 6)).await;
    let _servers = Servers::with_mail(&front, "m1").await;
    front.saves("first").await;
    let refused = front.save("second", "mail", "second").await.unwrap_err();
    assert_eq!(refused.code, "image.user-imports-busy");
    assert_eq!(front.show("second").await.unwrap_err().code, "image.unknown");
    asked(front.bus(), &DeleteImage { name: "first".parse().unwrap() }).await.unwrap();
    let begun = front.save("second", "mail", "second").await.unwrap();
    assert_eq!(begun.state, State::Importing);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_disk_that_is_more_than_one_user_may_have_under_way_is_not_sent() {
    let place = Place::new();
    let mut settings = place.settings(0);
    settings.peers.clear();
    settings.limits.max_user_mib = 1;
    let front = place.start_with(settings).await;
    front.leads().await;
    let node = Node::start(&place, "m1", Mood::Sends, qcow2(2, 6)).await;
    let _servers = Servers::with_mail(&front, "m1").await;
    front.saves("large").await;
    let view = front.settled("large").await;
    assert_eq!((view.state, view.fault.unwrap().code.as_str()), (State::Failed, "image.user-imports-full"));
    assert!(node.heard.lock().unwrap().iter().all(|order| order.send_to.is_none()));
    front.stop().await;
}
