//! Settings: embedded commented defaults ← file ← environment, validated once.

mod layers;
mod print;
mod sections;

use std::{env, ffi::OsString, fs, io, path::PathBuf};

use serde::de::DeserializeOwned;
use toml::Table;

pub use sections::{BusSection, Common, DEFAULTS, Format, LeaseSection, Limits, Telemetry, listening};

use crate::options::Options;
use layers::Origins;

/// What types cannot say about settings.
pub trait Validate {
    /// Checks the settings once, after all layers are laid.
    ///
    /// # Errors
    /// A sentence for the operator that names the key and what it may be.
    fn validate(&self) -> Result<(), String>;
}

/// For a service that has no settings of its own.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Validate for NoSettings {
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Why a process cannot be configured. Only an operator can mend any of these.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{origin} is not TOML: {source}")]
    Syntax {
        /// The file.
        origin: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A key that the service does not know.
    #[error("{origin}: unknown key {key}{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownKey {
        /// The file.
        origin: String,
        /// The key.
        key: String,
        /// The known key that comes closest.
        nearest: Option<String>,
    },
    /// An environment variable whose text is not of the key's type.
    #[error("{variable}: {detail}")]
    Variable {
        /// Its name.
        variable: String,
        /// What is wrong.
        detail: String,
    },
    /// Two keys would be set by the same environment variable: a fault of the defaults.
    #[error("{first} and {second} are both set by {variable}")]
    Ambiguous {
        /// One key.
        first: String,
        /// The other.
        second: String,
        /// Their variable.
        variable: String,
    },
    /// A value has the wrong type.
    #[error("the settings do not fit: {0}")]
    Type(#[source] Box<toml::de::Error>),
    /// A value is not one that the service can work with.
    #[error("{0}")]
    Invalid(String),
}

impl ConfigError {
    /// What the operator can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::File { .. } => "check the path and its permissions",
            Self::Syntax { .. } => "correct the file; `--print-config` without it shows the form",
            Self::UnknownKey { .. } => "correct the key; `--print-config` without the file lists all that exist",
            Self::Variable { .. } => "correct or unset the variable",
            Self::Ambiguous { .. } => "report this: it is a fault of the program",
            Self::Type(_) | Self::Invalid(_) => "correct the value; `--print-config` says where it comes from",
        }
    }
}

/// All settings of a process.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The sections that every service has.
    pub common: Common,
    /// The service's own.
    pub own: T,
}

/// The service's own settings; see [`load_all`].
///
/// # Errors
/// See [`ConfigError`].
pub fn load<T: DeserializeOwned + Validate>(
    service: &str,
    defaults_toml: &str,
    options: &Options,
) -> Result<T, ConfigError> {
    load_all(service, defaults_toml, options).map(|loaded| loaded.own)
}

/// Reads all layers. The service's defaults name every key it knows; its own type is handed only
/// its own keys, and may say `deny_unknown_fields`.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_all<T: DeserializeOwned + Validate>(
    service: &str,
    defaults_toml: &str,
    options: &Options,
) -> Result<Loaded<T>, ConfigError> {
    let (mut table, _) = layered(service, defaults_toml, options, |name| env::var_os(name))?;
    let common: Common = read(table.clone())?;
    common.validate().map_err(ConfigError::Invalid)?;
    strip(&mut table, &parse(DEFAULTS, "the embedded defaults")?);
    let own: T = read(table)?;
    own.validate().map_err(ConfigError::Invalid)?;
    Ok(Loaded { common, own })
}

/// The effective settings as TOML, each with its origin; also those that are not sound yet, since
/// this is how one learns what is missing.
///
/// # Errors
/// A file that cannot be read, or that has a key that nobody knows.
pub fn printed(service: &str, defaults_toml: &str, options: &Options) -> Result<String, ConfigError> {
    let (table, origins) = layered(service, defaults_toml, options, |name| env::var_os(name))?;
    Ok(print::effective(&table, &origins))
}

fn read<T: DeserializeOwned>(table: Table) -> Result<T, ConfigError> {
    T::deserialize(toml::Value::Table(table)).map_err(|e| ConfigError::Type(Box::new(e)))
}

fn parse(text: &str, origin: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|e| ConfigError::Syntax { origin: origin.to_owned(), source: Box::new(e) })
}

/// Takes away what belongs to the common sections.
fn strip(table: &mut Table, common: &Table) {
    for (name, value) in common {
        match (table.get_mut(name), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(known)) => {
                strip(inner, known);
                if inner.is_empty() {
                    table.remove(name);
                }
            }
            _ => {
                table.remove(name);
            }
        }
    }
}

fn layered(
    service: &str,
    defaults_toml: &str,
    options: &Options,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<(Table, Origins), ConfigError> {
    let mut table = parse(DEFAULTS, "the embedded defaults")?;
    layers::join_defaults(&mut table, parse(defaults_toml, "the embedded defaults")?);
    let known = layers::known_keys(&table);
    let mut origins = Origins::new();

    if let Some((path, text)) = file(service, options)? {
        let origin = path.display().to_string();
        layers::lay(&mut table, parse(&text, &origin)?, &origin, "", &mut origins, &known)
            .map_err(|unknown| ConfigError::UnknownKey { origin, key: unknown.key, nearest: unknown.nearest })?;
    }

    let mut seen = std::collections::BTreeMap::new();
    for key in &known {
        let variable = layers::variable(key);
        if let Some(first) = seen.insert(variable.clone(), key) {
            return Err(ConfigError::Ambiguous { first: first.clone(), second: key.clone(), variable });
        }
        let Some(text) = environment(&variable) else { continue };
        let fault = |detail: String| ConfigError::Variable { variable: variable.clone(), detail };
        let text = text.into_string().map_err(|_| fault("is not UTF-8".to_owned()))?;
        if let Some(value) = layers::at(&mut table, key) {
            *value = layers::read_as(value, &text).map_err(fault)?;
            origins.retain(|path, _| path != key && !path.starts_with(&format!("{key}.")));
            origins.insert(key.clone(), variable);
        }
    }
    Ok((table, origins))
}

fn file(service: &str, options: &Options) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let path = options.config.clone().unwrap_or_else(|| PathBuf::from(format!("/etc/watari/{service}.toml")));
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && options.config.is_none() => Ok(None),
        Err(source) => Err(ConfigError::File { path, source }),
    }
}

#[cfg(test)]
mod tests;
