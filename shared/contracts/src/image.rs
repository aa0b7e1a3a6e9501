//! What the image service answers. The bytes themselves travel over HTTPS, not over the bus.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watari_model::{ImageName, NodeName, SiteName, Timestamp, VmName, image};

use crate::{Request, Service, scheduler::Fault, wire::requests};

/// Announce a file. The answer says where its bytes are to be sent, unless the front end is to fetch
/// them itself. Repeating it with the same `request_id` gives a fresh ticket, with which a broken
/// upload is resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportImage {
    /// Names this import, so that it may be resumed.
    pub request_id: String,
    /// The image's name.
    pub name: ImageName,
    /// The file's size in bytes; left out if it is known only at the end, as that of a pipe.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// The file's SHA-256, 64 hexadecimal digits, if known.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Where the front end is to fetch the file from, `http://` or `https://`; left out if it is sent.
    #[serde(default)]
    pub url: Option<String>,
    /// What people should know of it, and what its servers must have.
    #[serde(default, skip_serializing_if = "image::About::is_empty")]
    pub about: image::About,
}

/// Where to send the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// The image so far.
    pub image: ImageView,
    /// `PUT` the bytes here, from `offset` on; none when nothing is to be sent.
    pub url: Option<String>,
    /// The bearer token for it, good for this one upload.
    pub token: String,
    /// How many bytes have arrived.
    pub offset: u64,
    /// Whether a body of frames is understood there, which tell of the file's holes instead of sending them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub framed: bool,
}

/// Save a server's disk as an image. The server goes on meanwhile, running or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveImage {
    /// Names this request, so that it may be repeated.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The image's name.
    pub name: ImageName,
    /// The server.
    pub vm: VmName,
}

/// Change what is said of an image: what is left out stays. Servers that are there already stay as they were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditImage {
    /// Which.
    pub name: ImageName,
    /// The operating system in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Which edition of it this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// As whom one logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_user: Option<String>,
    /// A new server has at least so much memory, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_memory_mib: Option<u64>,
    /// A new server's disk has at least this size, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_disk_gib: Option<u64>,
    /// By what a new server boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<image::Firmware>,
}

/// Show one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetImage {
    /// Which.
    pub name: ImageName,
}

/// List images, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListImages {}

/// Images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImagePage {
    /// By name.
    pub images: Vec<ImageView>,
}

/// Remove an image that no server uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteImage {
    /// Which.
    pub name: ImageName,
}

/// A front end has a verified copy, or has it no longer. From the image service of that front end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportCopy {
    /// The image.
    pub name: ImageName,
    /// The digest of the copy.
    pub sha256: String,
    /// Where it is.
    pub site: SiteName,
    /// Whether it is there.
    #[serde(default)]
    pub presence: Presence,
    /// The object store that this is about; none if it is about the front end's own disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<image::ObjectStore>,
}

/// Whether a copy is at a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Verified and ready to be fetched.
    #[default]
    Held,
    /// Removed, lost or found damaged.
    Gone,
}

/// An image as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageView {
    /// Its name.
    pub name: ImageName,
    /// How far it is.
    pub state: image::State,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "image::About::is_empty")]
    pub about: image::About,
    /// The digest of the stored file.
    pub sha256: Option<String>,
    /// Its format.
    pub format: Option<image::Format>,
    /// The stored file's size; that of the announced one before.
    pub size_bytes: Option<u64>,
    /// How much has arrived of a file that is being imported.
    #[serde(default)]
    pub arrived_bytes: Option<u64>,
    /// The server that it is saved from; none if it is imported.
    #[serde(default)]
    pub saved_from: Option<SavedFrom>,
    /// The size of the disk it describes.
    pub virtual_size_bytes: Option<u64>,
    /// When each site got its verified copy.
    pub copies: BTreeMap<SiteName, Timestamp>,
    /// In which object store each site has it beside that, if it has one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<SiteName, image::Kept>,
    /// What a sound image waits for before it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Fault>,
    /// The nodes that keep it in their caches, by site, as they told last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<SiteName, Vec<NodeName>>,
    /// The servers that stand on it.
    pub used_by: Vec<VmName>,
    /// Why it failed.
    pub fault: Option<Fault>,
    /// When it was announced.
    pub created_at: Timestamp,
}

/// The server that an image is saved from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SavedFrom {
    /// Its name at that time.
    pub vm: VmName,
    /// What the copy of its disk shows, once it is whole.
    pub taken: Option<image::Taken>,
    /// The copy being made, until it is whole.
    pub copying: Option<DiskCopying>,
    /// Why the last copy came to nothing, while another one is to be made.
    pub lost: Option<Fault>,
}

/// A server's disk being copied on its node. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskCopying {
    /// The node.
    pub node: NodeName,
    /// So much is done.
    pub copied_bytes: u64,
    /// So much is to be done; 0 while that is not known.
    pub total_bytes: u64,
}

requests! {
    Image, "Every subject the image service answers.";
    ImportImage "watari.v1.image.import" => Ticket, "Announce a file and learn where to send it.";
    SaveImage "watari.v1.image.save" => ImageView, "Save a server's disk as an image while the server goes on.";
    EditImage "watari.v1.image.edit" => ImageView, "Change what is said of an image.";
    GetImage "watari.v1.image.get" => ImageView, "Show one image.";
    ListImages "watari.v1.image.list" => ImagePage, "List images.";
    DeleteImage "watari.v1.image.delete" => ImageView, "Remove an image that no server uses.";
    ReportCopy "watari.service.image.copied" => ImageView, "A front end has a verified copy, or has it no longer.";
}
