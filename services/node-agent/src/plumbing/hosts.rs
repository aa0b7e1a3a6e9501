//! Who is answered: one small file a network card, in a folder that dnsmasq watches.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use watari_contracts::agent::Wire;
use watari_model::VmName;

/// The file of a server's card.
pub(super) fn file(uuid: &str, index: usize) -> String {
    format!("{uuid}.{index}")
}

/// What is in it. Every part was checked: a MAC, an address, a DNS label.
fn line(vm: &VmName, wire: &Wire) -> String {
    let ipv6 = wire.ipv6.as_ref().map(|ipv6| format!("[{}],", ipv6.address)).unwrap_or_default();
    format!("{},{},{ipv6}{vm}\n", wire.mac, wire.address)
}

/// Makes the folder, readable to dnsmasq's user.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

/// Adds a card, or corrects it. dnsmasq reads a file when it is moved in, so never half of one.
pub(super) fn add(folder: &Path, uuid: &str, index: usize, vm: &VmName, wire: &Wire) -> io::Result<()> {
    let (path, text) = (folder.join(file(uuid, index)), line(vm, wire));
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    // dnsmasq ignores names that end in '~'.
    let aside = folder.join(format!("{}~", file(uuid, index)));
    let mut out = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o644).open(&aside)?;
    out.write_all(text.as_bytes())?;
    fs::rename(&aside, &path)
}

/// Takes a card away.
pub(super) fn remove(folder: &Path, uuid: &str, index: usize) -> io::Result<()> {
    match fs::remove_file(folder.join(file(uuid, index))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes every card away that is not wanted.
pub(super) fn keep_only(folder: &Path, wanted: &BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| wanted.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
