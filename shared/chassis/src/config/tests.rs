use std::{collections::BTreeMap, fs};

use serde::Deserialize;
use watari_testkit::TempDir;

use super::*;

const OWN: &str = r#"
[limits]
servers = 1000
[placement]
# CPUs promised per CPU there is.
overcommit = 2.0
[networks.segments]
"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    limits: OwnLimits,
    placement: Placement,
    #[serde(default)]
    networks: Networks,
}
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnLimits {
    servers: u32,
}
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Placement {
    overcommit: f64,
}
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Networks {
    segments: BTreeMap<String, String>,
}
impl Validate for Own {
    fn validate(&self) -> Result<(), String> {
        if self.placement.overcommit < 1.0 { Err("placement.overcommit must be 1 or more".into()) } else { Ok(()) }
    }
}

fn with_file(text: &str) -> (TempDir, Options) {
    let dir = TempDir::new();
    let path = dir.path().join("scheduler.toml");
    fs::write(&path, text).unwrap();
    (dir, Options { config: Some(path), print_config: false })
}

#[test]
fn without_a_file_the_defaults_hold() {
    let loaded = load_all::<Own>("no-such-service", OWN, &Options::default()).unwrap();
    assert_eq!((loaded.own.limits.servers, loaded.common.limits.in_flight), (1000, 256));
    assert!(loaded.own.networks.segments.is_empty());
    assert_eq!(loaded.common.telemetry.otlp, "", "nobody has asked for traces");
}

#[test]
fn an_explicit_file_must_exist() {
    let options = Options { config: Some("/nonexistent/watari.toml".into()), print_config: false };
    assert!(matches!(load::<Own>("scheduler", OWN, &options), Err(ConfigError::File { .. })));
}

#[test]
fn the_file_lies_over_the_defaults_and_the_environment_over_the_file() {
    let (_dir, options) = with_file("[limits]\nservers = 5\nin_flight = 8\n[networks.segments]\ncampus = \"br0\"\n");
    let vars = |name: &str| (name == "WATARI_LIMITS_IN_FLIGHT").then(|| "9".into());
    let (table, origins) = layered("scheduler", OWN, &options, vars).unwrap();
    assert_eq!(table["limits"]["servers"].as_integer(), Some(5));
    assert_eq!(table["limits"]["in_flight"].as_integer(), Some(9));
    assert_eq!(table["networks"]["segments"]["campus"].as_str(), Some("br0"));
    assert_eq!(origins["limits.in_flight"], "WATARI_LIMITS_IN_FLIGHT");
    let own = load::<Own>("scheduler", OWN, &options).unwrap();
    assert_eq!((own.limits.servers, own.networks.segments["campus"].as_str()), (5, "br0"));
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_the_nearest_known_key() {
    let (_dir, options) = with_file("[bus]\nurl = [\"nats://a\"]\n");
    let text = load::<Own>("scheduler", OWN, &options).unwrap_err().to_string();
    assert!(
        text.contains("bus.url;") && text.contains("scheduler.toml") && text.contains("did you mean bus.urls?"),
        "{text}"
    );
    let (_dir, options) = with_file("[entirely]\nelse = 1\n");
    assert!(matches!(load::<Own>("scheduler", OWN, &options), Err(ConfigError::UnknownKey { nearest: None, .. })));
}

#[test]
fn wrong_types_and_values_are_told() {
    let (_dir, options) = with_file("[placement]\novercommit = \"much\"\n");
    assert!(matches!(load::<Own>("scheduler", OWN, &options), Err(ConfigError::Type(_))));
    let (_dir, options) = with_file("[placement]\novercommit = 0.5\n");
    assert!(load::<Own>("scheduler", OWN, &options).unwrap_err().to_string().contains("placement.overcommit"));
    let (_dir, options) = with_file("[bus]\nreplicas = 4\n");
    assert!(load::<Own>("scheduler", OWN, &options).unwrap_err().to_string().contains("bus.replicas"));
    let vars = |name: &str| (name == "WATARI_BUS_REPLICAS").then(|| "three".into());
    assert!(matches!(layered("x", OWN, &Options::default(), vars), Err(ConfigError::Variable { .. })));
}

#[test]
fn two_keys_never_share_a_variable() {
    let clash = "[a]\nb_c = 1\n[a_b]\nc = 2\n";
    assert!(matches!(layered("x", clash, &Options::default(), |_| None), Err(ConfigError::Ambiguous { .. })));
}

#[test]
fn what_is_printed_is_toml_says_its_origins_and_shows_no_password() {
    let (_dir, options) =
        with_file("[bus]\nurls = [\"nats://me:secret@host:4222\"]\n[networks.segments]\ncampus = \"br0\"\n");
    let printed = super::printed("scheduler", OWN, &options).unwrap();
    assert!(printed.contains("servers = 1000 # default"), "{printed}");
    assert!(printed.contains("nats://***@host:4222") && !printed.contains("secret"), "{printed}");
    assert!(
        printed.lines().any(|l| l.starts_with("campus = \"br0\" # ") && l.ends_with("scheduler.toml")),
        "{printed}"
    );
    assert!(printed.parse::<Table>().is_ok(), "{printed}");
}
