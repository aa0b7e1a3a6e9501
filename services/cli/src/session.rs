//! The connection, and asking over it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use nkeys::KeyPair;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    sync::OnceCell,
    time::{Instant, sleep},
};
use watari_chassis::{Bus, BusError, BusSettings, CallError, Initial, Messages, Patience, TraceParent};
use watari_contracts::{Request, permissions::LOOKING, scheduler::PlanOutage};
use watari_model::Refusal;

use crate::{
    failure::Failure,
    options::Global,
    texts::{faults::Fault, roles},
};

/// Where `watari setup` puts what a client host needs.
const SETTINGS: &str = "/etc/watari/cli.toml";
/// Where it puts what `watari backup` needs on a front end.
const BACKUP: &str = "/etc/watari/backup.toml";
/// How long one try waits for its answer.
const ONE_TRY: Duration = Duration::from_secs(5);
/// How long the first try waits of who asks for one thing by its name. That is answered within milliseconds, unless it is
/// lost with the service that heard it: whoever follows something asks often, and would stand still for a whole try.
const FIRST_TRY: Duration = Duration::from_secs(1);
/// How long a glance waits.
const GLANCE: Duration = Duration::from_secs(1);
/// The class of refusals of names that are not known.
const UNKNOWN: u16 = 404;
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// A change of front ends takes a fraction of a second, which must not become more by waiting here.
const MOST_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the server has complained.
const COMPLAINT: Duration = Duration::from_millis(50);

/// What a client host's file says; options and environment go before it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    nats: Vec<String>,
    nkey: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl Settings {
    fn read(path: &Path) -> Result<Self, Fault> {
        let shown = || path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|e| Fault::SettingsSyntax { path: shown(), detail: e.to_string().trim_end().to_owned() }),
            // Somebody else's file is no reason to refuse one who says everything by options.
            Err(_) => Ok(Self::default()),
        }
    }
}

/// How to connect, and the connection once something is asked: what was mistyped is told before.
pub struct Session {
    settings: BusSettings,
    bus: OnceCell<Bus>,
    patience: Duration,
    request_id: OnceLock<String>,
}

impl Session {
    /// Prepared to connect as the options, the environment or the host's file say.
    ///
    /// # Errors
    /// [`Failure`] if a file that is named cannot be used.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        Self::by(global, SETTINGS)
    }

    /// The same for `watari backup`, on a front end.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn of_backup(global: &Global) -> Result<Self, Failure> {
        Self::by(global, BACKUP)
    }

    fn by(global: &Global, settings: &str) -> Result<Self, Failure> {
        let file = Settings::read(Path::new(settings))?;
        let mut settings = BusSettings {
            nkey: global.nkey().or(file.nkey),
            ca: global.ca().or(file.ca),
            request_timeout: ONE_TRY.min(global.timeout),
            speaker: login().unwrap_or_default(),
            initial: Initial::Fail,
            ..BusSettings::default()
        };
        match global.nats() {
            Some(urls) => {
                settings.urls = urls.split(',').map(str::trim).filter(|u| !u.is_empty()).map(str::to_owned).collect();
                // A server of this host's own cluster, as a single URL for clients that take no
                // list: the cluster's other servers serve as well when it is away.
                if settings.urls.iter().any(|url| file.nats.contains(url)) {
                    let others = file.nats.into_iter().filter(|url| !settings.urls.contains(url)).collect::<Vec<_>>();
                    settings.urls.extend(others);
                }
            }
            None if !file.nats.is_empty() => settings.urls = file.nats,
            None => {}
        }
        if let Some(path) = &settings.nkey {
            settings.identity = inbox_name(path)?;
        }
        let request_id = global.request_id.clone().map_or_else(OnceLock::new, OnceLock::from);
        Ok(Self { settings, bus: OnceCell::new(), patience: global.timeout, request_id })
    }

    /// The connection itself.
    ///
    /// # Errors
    /// [`Failure`] if there is none to be had.
    pub async fn bus(&self) -> Result<&Bus, Failure> {
        self.bus.get_or_try_init(|| async { Bus::connect(&self.settings).await.map_err(fault) }).await
    }

    /// How long the person wants an answer to be tried for.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The authority's certificates, if named; HTTPS trusts them as well.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.settings.ca.as_deref()
    }

    /// The name of this command's request: the person's own, or one that no other has.
    #[must_use]
    pub fn request_id(&self) -> String {
        self.request_id.get_or_init(|| TraceParent::fresh().trace_id().to_owned()).clone()
    }

    /// Asks until there is an answer or patience is at its end. Repeating is safe: whoever asks
    /// for a change names the request.
    ///
    /// # Errors
    /// [`Failure`]: refused, not permitted, or nobody answers.
    pub async fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, Failure> {
        let bus = self.bus().await?;
        let until = Instant::now() + self.patience;
        let (mut bound, mut pause) = (first_try::<R>(), FIRST_PAUSE);
        loop {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let answer = tokio::select! {
                answer = bus.request_within(request, bound.min(left)) => answer,
                // What was asked over a connection that broke may have been heard or not; it is
                // asked again over the next one, which is safe.
                () = reconnected(bus) => continue,
                detail = forbidden(bus, R::SUBJECT) => {
                    return Err(roles::refused(R::SUBJECT, self.settings.nkey.as_deref(), detail).into());
                }
            };
            match answer {
                Err(error) if passes(&error) && Instant::now() + pause < until => {}
                answer => return answer.map_err(|error| self.unanswered(request, error)),
            }
            sleep(pause).await;
            // A service that is only slow is asked twice at most for what it has not answered yet.
            (bound, pause) = (ONE_TRY, (pause * 2).min(MOST_PAUSE));
        }
    }

    /// What the person can do about it: who only looked has changed nothing, and a change may be asked for again under
    /// the name that it had.
    fn unanswered<R: Request>(&self, request: &R, error: CallError) -> Failure {
        let who = match error {
            CallError::NoAnswer { who, .. } => who,
            other => return other.into(),
        };
        if LOOKING.contains(&R::SUBJECT) || R::SUBJECT == PlanOutage::SUBJECT {
            return Fault::NobodyAnswers { who }.into();
        }
        let written = serde_json::to_value(request).ok();
        let is_named = written.is_some_and(|fields| fields.get("request_id").is_some_and(|id| id.is_string()));
        if is_named {
            Fault::OutcomeUnknown { who, request_id: self.request_id() }.into()
        } else {
            Failure::Refused(Box::new(Refusal::NoAnswer { who }.into()))
        }
    }

    /// Asks for everything of a list that comes in pages: `parts` takes a page apart into what is on it and where the
    /// next one begins, and `turn` says so in the request.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn pages<R: Request, T, N>(
        &self,
        mut request: R,
        parts: impl Fn(R::Reply) -> (Vec<T>, Option<N>),
        turn: impl Fn(&mut R, Option<N>),
    ) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        loop {
            let (items, next) = parts(self.ask(&request).await?);
            all.extend(items);
            if next.is_none() {
                return Ok(all);
            }
            turn(&mut request, next);
        }
    }

    /// Asks once and not for long: for what is worth showing beside the rest, and not worth waiting for.
    pub async fn glance<R: Request>(&self, request: &R) -> Option<R::Reply> {
        self.bus().await.ok()?.request_within(request, GLANCE).await.ok()
    }

    /// Asks once and not for long whether something is there. Who does not answer says nothing of it.
    ///
    /// # Errors
    /// [`Failure::Refused`] if a service says that it knows nothing of that name.
    pub async fn must_know<R: Request>(&self, request: &R) -> Result<(), Failure> {
        match self.bus().await?.request_within(request, GLANCE).await {
            Err(CallError::Refused(body)) if body.refusal.status() == UNKNOWN => Err(Failure::Refused(body)),
            _ => Ok(()),
        }
    }

    /// Asks every process that hears `subject`.
    ///
    /// # Errors
    /// [`Failure`] if the question does not leave.
    pub async fn gather<Q, A>(&self, subject: &str, question: &Q, patience: Patience) -> Result<Vec<A>, Failure>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        self.bus().await?.gather(subject, question, patience).await.map_err(fault)
    }

    /// Ends when the server has said that this identity may not send something, with its words.
    ///
    /// # Errors
    /// [`Failure`] if there is no connection to be had.
    pub async fn forbidden(&self) -> Result<String, Failure> {
        Ok(forbidden(self.bus().await?, "").await)
    }

    /// Whether NATS refuses the key in this file, wherever this session goes; not if that cannot be told.
    pub(crate) async fn is_refused(&self, nkey: &Path) -> bool {
        let settings = BusSettings { nkey: Some(nkey.to_owned()), ..self.settings.clone() };
        matches!(Bus::connect(&settings).await, Err(BusError::Refused { .. }))
    }

    /// Hears what is published on `subject`.
    ///
    /// # Errors
    /// [`Failure`] if the server does not let it.
    pub async fn hear(&self, subject: &str) -> Result<Messages, Failure> {
        self.bus().await?.subscribe(subject).await.map_err(fault)
    }
}

/// How long the first try waits. A change, a list and what takes its time are not asked for twice before that is needed.
fn first_try<R: Request>() -> Duration {
    let is_of_one = LOOKING.contains(&R::SUBJECT) && R::SUBJECT.ends_with(".get");
    if is_of_one { FIRST_TRY } else { ONE_TRY }
}

/// Ends when there is a new connection.
async fn reconnected(bus: &Bus) {
    let mut connected = bus.connected();
    let renewed = async {
        connected.wait_for(|up| !*up).await?;
        connected.wait_for(|up| *up).await
    };
    if renewed.await.is_err() {
        std::future::pending().await
    }
}

/// Ends when the server says that this identity may not send on `subject`: it says so beside the
/// request, to which no answer comes.
async fn forbidden(bus: &Bus, subject: &str) -> String {
    loop {
        let said = bus.last_complaint();
        if said.to_ascii_lowercase().contains("permissions violation for publish") && said.contains(subject) {
            return said;
        }
        sleep(COMPLAINT).await;
    }
}

/// Whether this is what a change of front ends looks like.
fn passes(error: &CallError) -> bool {
    match error {
        CallError::NoAnswer { .. } => true,
        CallError::Refused(body) => matches!(body.refusal, Refusal::NotPrimary { .. } | Refusal::NoAnswer { .. }),
        CallError::Bus { .. } => false,
    }
}

/// As whom this person is logged in here, which is told beside what is proven.
pub(crate) fn login() -> Option<String> {
    let named = ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control))
}

/// Answers go to an inbox that follows from the key, so that no other operator or viewer reads
/// them: `watari setup` permits exactly that.
fn inbox_name(path: &Path) -> Result<String, Fault> {
    let shown = || path.display().to_string();
    let text = fs::read_to_string(path).map_err(|e| Fault::File { path: shown(), detail: e.to_string() })?;
    let seed = text.lines().map(str::trim).find(|l| l.starts_with('S')).unwrap_or_default();
    let pair = KeyPair::from_seed(seed).map_err(|_| Fault::NotASeed { path: shown() })?;
    Ok(pair.public_key().to_lowercase())
}

pub(crate) fn fault(error: BusError) -> Failure {
    Failure::Own(match error {
        BusError::File { path, source } => Fault::File { path: path.display().to_string(), detail: source.to_string() },
        BusError::NotASeed { path } => Fault::NotASeed { path: path.display().to_string() },
        BusError::Settings(detail) => Fault::BadConnection { detail },
        BusError::Refused { urls } => Fault::IdentityRefused { urls },
        BusError::Tls { urls, detail } => Fault::NoTrust { urls, detail },
        BusError::Unreachable { urls, detail } => Fault::NoConnection { urls, detail },
        BusError::NotSent { subject, detail } | BusError::NotSubscribed { subject, detail } => {
            Fault::Forbidden { subject, detail }
        }
    })
}
