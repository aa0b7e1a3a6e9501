//! Reads the samples, writes them again and compares.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use watari_contracts::{Command, Payload, Request, beat};
use watari_model::Document;

/// What has been compared.
#[derive(Default)]
pub(crate) struct Samples {
    files: RefCell<BTreeSet<String>>,
    requests: RefCell<BTreeSet<&'static str>>,
    commands: RefCell<BTreeSet<&'static str>>,
    orderless: RefCell<BTreeSet<&'static str>>,
    documents: RefCell<BTreeSet<&'static str>>,
}

impl Samples {
    pub(crate) fn request<R: Request>(&self) {
        self.json::<R>(&format!("request.{}", R::SUBJECT));
        self.reply::<R::Reply>();
        assert!(self.requests.borrow_mut().insert(R::SUBJECT), "{} is listed twice", R::SUBJECT);
    }

    pub(crate) fn command<C: Command>(&self) {
        let samples = self.json::<C>(&format!("command.{}", C::VERB));
        if samples.iter().any(|sample| serde_json::to_value(sample).unwrap().get("order").is_none()) {
            self.orderless.borrow_mut().insert(C::VERB);
        }
        self.reply::<C::Reply>();
        assert!(self.commands.borrow_mut().insert(C::VERB), "{} is listed twice", C::VERB);
    }

    pub(crate) fn document<D: Document>(&self) {
        for document in self.json::<D>(&format!("document.{}", D::BUCKET)) {
            assert!(!document.key().is_empty());
        }
        self.documents.borrow_mut().insert(D::BUCKET);
    }

    fn reply<T: Payload>(&self) {
        self.json::<T>(&format!("reply.{}", <T as JsonSchema>::schema_name()));
    }

    /// The samples in a file, each of which must be written as it was read.
    pub(crate) fn json<T: Serialize + DeserializeOwned>(&self, name: &str) -> Vec<T> {
        self.used(name);
        let path = path(name, "json");
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let samples: Vec<T> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(!samples.is_empty(), "{name} has no sample");
        let written = serde_json::to_string_pretty(&samples).unwrap() + "\n";
        if writes() {
            // The tests run side by side and share samples.
            let fresh = path.with_extension(format!("{:?}", std::thread::current().id()));
            fs::write(&fresh, &written).unwrap();
            fs::rename(&fresh, &path).unwrap();
        } else {
            differs(name, &text, &written);
        }
        samples
    }

    /// A beat's bytes: the version, then bincode's standard layout.
    pub(crate) fn bytes<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(&self, name: &str, value: &T) {
        let path = path(name, "bin");
        let layout = bincode::config::standard();
        let mut bytes = vec![beat::VERSION];
        bincode::serde::encode_into_std_write(value, &mut bytes, layout).unwrap();
        if writes() && !path.exists() {
            fs::write(&path, &bytes).unwrap();
        }
        let golden = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(bytes, golden, "{name}: the bytes of a published version have changed");
        let (read, used): (T, usize) = bincode::serde::decode_from_slice(&golden[1..], layout).unwrap();
        assert_eq!((&read, used), (value, golden.len() - 1));
    }

    pub(crate) fn used(&self, name: &str) {
        self.files.borrow_mut().insert(name.to_owned());
    }

    pub(crate) fn files(&self) -> BTreeSet<String> {
        self.files.borrow().clone()
    }

    pub(crate) fn requests(&self) -> BTreeSet<&'static str> {
        self.requests.borrow().clone()
    }

    pub(crate) fn commands(&self) -> BTreeSet<&'static str> {
        self.commands.borrow().clone()
    }

    /// The commands that carry no order.
    pub(crate) fn orderless(&self) -> BTreeSet<&'static str> {
        self.orderless.borrow().clone()
    }

    pub(crate) fn documents(&self) -> BTreeSet<&'static str> {
        self.documents.borrow().clone()
    }
}

/// Names the first line that differs, and what to do about it.
fn differs(name: &str, stored: &str, written: &str) {
    let lines = stored.lines().zip(written.lines()).enumerate();
    if let Some((n, (old, new))) = lines.into_iter().find(|(_, (old, new))| old != new) {
        panic!(
            "{name}.json, line {}: stored {old:?}, written now {new:?}. If the message was to change, edit the sample \
             and run with WATARI_GOLDEN=write",
            n + 1
        );
    }
    assert_eq!(stored.len(), written.len(), "{name}.json ends elsewhere");
}

/// The JSON samples that are stored.
pub(crate) fn stored() -> BTreeSet<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect()
}

/// The least that each request takes, by subject: what the README tells people to type.
pub(crate) fn shortest() -> BTreeMap<String, Value> {
    serde_json::from_str(&fs::read_to_string(path("least", "json")).unwrap()).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn path(name: &str, extension: &str) -> PathBuf {
    folder().join(format!("{name}.{extension}"))
}

/// Whether what differs is written anew.
pub(crate) fn writes() -> bool {
    env::var_os("WATARI_GOLDEN").is_some_and(|v| v == "write")
}
