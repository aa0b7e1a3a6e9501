//! Bringing files to another node through its libvirt: over the connection, and with the certificates, that
//! migrations use. No port is opened for it, and nobody is trusted who is not trusted already.
//!
//! A file is brought piece by piece into a folder of its own. A piece that has been brought is not brought
//! again, except the last one, of which nobody knows how much arrived. When everything has, the file is
//! longer than it should be: that is how the other side knows.
//!
//! The connection is kept from piece to piece, since each handshake costs more than a small piece. What is in the
//! folder is looked at anew only where it can have changed without us: before the first piece and after the last.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quick_xml::Writer;
use quick_xml::events::BytesText;
use virt::connect::Connect;
use virt::error::Error as VirtError;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;

use super::error::{Error, Result};
use super::{Hypervisor, blocking, failure};

/// How every qcow2 begins. These bytes stay zero on the way: libvirt looks into files, and would treat one
/// that begins so as a disk and not as bytes.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";
/// What is brought at a time, in bytes.
pub const PIECE: u64 = 16 << 20;
/// What is handed to libvirt at a time, in bytes.
const CHUNK: usize = 256 << 10;
/// The name under which libvirt knows the folder.
const POOL: &str = "watari-layers";
const ACT: &str = "bring a part of a disk to another node";
/// What is sent at a time to see how fast the way is, in bytes, and how often.
const SAMPLE: u64 = 4 << 20;
const SAMPLES: u64 = 4;
const MEASURE: &str = "measure the way to another node";
/// A dead peer is given up after so many times so many seconds.
const KEEP_ALIVE: (i32, u32) = (5, 3);

/// A file to be brought.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The folder there.
    pub folder: PathBuf,
    /// The file here. It must not change.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// As far as it is known to have arrived, in bytes; 0 if nothing is known, all of it while it is checked there.
    pub brought: u64,
    /// Its name there while it arrives.
    pub name: String,
    /// The name of what says there that it has arrived and is what it should be.
    pub proof: String,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was brought up to this byte; more is to come.
    More(u64),
    /// All of it was brought; the other side checks it.
    Brought,
    /// It is there, and checked.
    There,
}

/// Who brings files to one node.
pub struct Courier {
    target_uri: String,
    way: Option<Way>,
}

/// The way to a node's folder.
struct Way {
    // Before `connect`, of which it is a part.
    pool: StoragePool,
    connect: Connect,
}

impl Hypervisor {
    /// One who brings files to the libvirt of that URI, `qemu+tls://HOST/system`. Nothing is connected yet.
    #[must_use]
    pub fn courier(&self, target_uri: String) -> Courier {
        Courier { target_uri, way: None }
    }
}

impl Courier {
    /// Brings the next piece. After a failure the next one goes over a new connection.
    ///
    /// # Errors
    /// The file cannot be read; the target's libvirt does not answer, or its own errors.
    pub async fn deliver(&mut self, parcel: Parcel) -> Result<Delivery> {
        let (way, target_uri) = (self.way.take(), self.target_uri.clone());
        let carried = blocking(ACT, move || {
            let way = match way.filter(|way| way.connect.is_alive().unwrap_or(false)) {
                Some(way) => way,
                None => Way::open(&target_uri, &parcel)?,
            };
            let delivery = carry(&way, &parcel)?;
            Ok((way, delivery))
        });
        let (way, delivery) = carried.await?;
        self.way = Some(way);
        Ok(delivery)
    }

    /// Sends a few bytes to a file of that name in the folder there, which is thrown away. How many went in a second.
    ///
    /// # Errors
    /// The target's libvirt does not answer, or its own errors.
    pub async fn measure(self, folder: PathBuf, name: String) -> Result<u64> {
        let target_uri = self.target_uri;
        let parcel = Parcel { folder, file: PathBuf::new(), size_bytes: 0, brought: 0, name, proof: String::new() };
        let measured = blocking(MEASURE, move || {
            let way = Way::open(&target_uri, &parcel)?;
            let failed = |source| failure(MEASURE, &way.connect, source);
            way.pool.refresh(0).map_err(failed)?;
            // One that broke off leaves its file behind.
            if let Ok(left) = way.pool.lookup_storage_vol_by_name(&parcel.name) {
                left.delete(0).map_err(failed)?;
            }
            let volume = StorageVol::create_xml(&way.pool, &volume_xml(&parcel)?, 0).map_err(failed)?;
            let send = |offset, bytes: &[u8]| upload(&way.connect, &volume, offset, bytes);
            let took = sample(|bytes| volume.resize(bytes, 0), send);
            if let Err(error) = volume.delete(0) {
                tracing::debug!(%error, "what was sent to measure the way stays there until the next time");
            }
            Ok(rate(took.map_err(failed)?))
        });
        measured.await
    }
}

/// How long the samples took, but for the first, with which the connection is still slow. Each is sent where the one before
/// ends, once there is room for so many bytes in all.
fn sample<E>(
    mut make_room: impl FnMut(u64) -> std::result::Result<(), E>,
    mut send: impl FnMut(u64, &[u8]) -> std::result::Result<(), E>,
) -> std::result::Result<Duration, E> {
    let bytes = vec![0; usize::try_from(SAMPLE).unwrap_or(0)];
    let mut took = Duration::ZERO;
    for sample in 0..SAMPLES {
        let offset = sample * SAMPLE;
        make_room(offset + SAMPLE)?;
        let begun = Instant::now();
        send(offset, &bytes)?;
        if sample > 0 {
            took += begun.elapsed();
        }
    }
    Ok(took)
}

/// Bytes a second of the samples that count.
fn rate(took: Duration) -> u64 {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    (SAMPLES - 1) * SAMPLE * 1_000_000 / micros
}

impl Way {
    fn open(target_uri: &str, parcel: &Parcel) -> Result<Self> {
        let refused = |source| Error::Libvirt { act: "connect to the other node's libvirt", source };
        let connect = Connect::open(Some(target_uri)).map_err(refused)?;
        if let Err(error) = connect.set_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1) {
            tracing::debug!(%error, "no keepalive on this connection");
        }
        Ok(Self { pool: pool(&connect, parcel)?, connect })
    }
}

/// Whether somebody else may have changed what is there: the other side, or whoever brought it before us.
const fn must_look(parcel: &Parcel) -> bool {
    parcel.brought == 0 || parcel.brought >= parcel.size_bytes
}

fn carry(way: &Way, parcel: &Parcel) -> Result<Delivery> {
    let Way { connect, pool } = way;
    let failed = |source| failure(ACT, connect, source);
    if must_look(parcel) {
        pool.refresh(0).map_err(failed)?;
        if pool.lookup_storage_vol_by_name(&parcel.proof).is_ok() {
            return Ok(Delivery::There);
        }
    }
    let volume = match pool.lookup_storage_vol_by_name(&parcel.name) {
        Ok(volume) => volume,
        Err(_) => StorageVol::create_xml(pool, &volume_xml(parcel)?, 0).map_err(failed)?,
    };
    let size = parcel.size_bytes;
    let have = volume.info().map_err(failed)?.capacity;
    if have > size {
        return Ok(Delivery::Brought);
    }
    let offset = if parcel.brought == have { have } else { have.saturating_sub(PIECE) };
    let bytes = read(parcel, offset, PIECE.min(size - offset))?;
    let end = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
    if end > have {
        volume.resize(end, 0).map_err(failed)?;
    }
    if !bytes.is_empty() {
        upload(connect, &volume, offset, &bytes).map_err(failed)?;
    }
    if end < size {
        return Ok(Delivery::More(end));
    }
    // Longer than its blocks are, too, which end behind it: libvirt makes no volume smaller than those.
    let taken = volume.info().map_err(failed)?.allocation;
    volume.resize(size.max(taken).saturating_add(1), 0).map_err(failed)?;
    Ok(Delivery::Brought)
}

/// The folder as libvirt there knows it.
fn pool(connect: &Connect, parcel: &Parcel) -> Result<StoragePool> {
    let failed = |source| failure(ACT, connect, source);
    let Ok(pool) = connect.lookup_storage_pool_by_name(POOL) else {
        return connect.create_storage_pool_xml(&pool_xml(parcel)?, 0).map_err(failed);
    };
    if !pool.is_active().map_err(failed)? {
        pool.create(0).map_err(failed)?;
    }
    Ok(pool)
}

fn read(parcel: &Parcel, offset: u64, length: u64) -> Result<Vec<u8>> {
    let failed = |source| Error::Io { act: "read", path: parcel.file.clone(), source };
    let mut file = File::open(&parcel.file).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).ok() != Some(length) {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
    }
    if offset == 0 {
        bytes.iter_mut().take(MAGIC.len()).for_each(|byte| *byte = 0);
    }
    Ok(bytes)
}

fn upload(connect: &Connect, volume: &StorageVol, offset: u64, bytes: &[u8]) -> std::result::Result<(), VirtError> {
    let stream = Stream::new(connect, 0)?;
    volume.upload(&stream, offset, u64::try_from(bytes.len()).unwrap_or(0), 0)?;
    for chunk in bytes.chunks(CHUNK) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match stream.send(rest) {
                Ok(sent) => rest = rest.get(usize::try_from(sent).unwrap_or(0)..).unwrap_or_default(),
                Err(error) => {
                    // The first error is the one that tells.
                    let _ = stream.abort();
                    return Err(error);
                }
            }
        }
    }
    stream.finish()
}

fn pool_xml(parcel: &Parcel) -> Result<String> {
    let folder = parcel.folder.to_string_lossy();
    document(|out| {
        out.create_element("pool").with_attribute(("type", "dir")).write_inner_content(|out| {
            out.create_element("name").write_text_content(BytesText::new(POOL))?;
            out.create_element("target").write_inner_content(|out| {
                out.create_element("path").write_text_content(BytesText::new(&folder))?;
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    })
}

fn volume_xml(parcel: &Parcel) -> Result<String> {
    document(|out| {
        out.create_element("volume").write_inner_content(|out| {
            out.create_element("name").write_text_content(BytesText::new(&parcel.name))?;
            out.create_element("capacity").write_text_content(BytesText::new("0"))?;
            out.create_element("allocation").write_text_content(BytesText::new("0"))?;
            out.create_element("target").write_inner_content(|out| {
                out.create_element("format").with_attribute(("type", "raw")).write_empty()?;
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    })
}

fn document(write: impl FnOnce(&mut Writer<Vec<u8>>) -> std::io::Result<()>) -> Result<String> {
    let mut out = Writer::new(Vec::new());
    write(&mut out).map_err(|error| Error::Xml(error.to_string()))?;
    String::from_utf8(out.into_inner()).map_err(|error| Error::Xml(error.to_string()))
}

#[cfg(test)]
mod tests {
    use watari_testkit::TempDir;

    use super::*;

    fn parcel(file: PathBuf, size_bytes: u64) -> Parcel {
        Parcel {
            folder: "/var/lib/a & <b>".into(),
            file,
            size_bytes,
            brought: 0,
            name: "x.part".to_owned(),
            proof: "x.here".to_owned(),
        }
    }

    #[test]
    fn the_beginning_that_libvirt_would_know_stays_here_and_nothing_else() {
        let folder = TempDir::new();
        let file = folder.path().join("layer");
        std::fs::write(&file, b"QFI\xfb and more").unwrap();
        let parcel = parcel(file, 13);
        assert_eq!(read(&parcel, 0, 8).unwrap(), b"\0\0\0\0 and");
        assert_eq!(read(&parcel, 4, 4).unwrap(), b" and");
        assert!(read(&parcel, 4, 400).is_err(), "a file that is shorter than it was said to be");
    }

    #[test]
    fn to_measure_a_way_no_more_is_sent_than_one_piece_and_nothing_after_a_failure() {
        let (mut room, mut sent) = (0, Vec::new());
        let make_room = |bytes| {
            room = bytes;
            Ok::<_, &str>(())
        };
        let send = |offset, bytes: &[u8]| {
            sent.push((offset, bytes.len() as u64));
            Ok(())
        };
        sample(make_room, send).unwrap();
        assert_eq!((room, SAMPLES * SAMPLE), (PIECE, PIECE));
        assert_eq!(
            sent,
            (0..SAMPLES).map(|n| (n * SAMPLE, SAMPLE)).collect::<Vec<_>>(),
            "each where the one before ends"
        );
        let mut tries = 0;
        let broken = sample(
            |_| Ok(()),
            |_, _| {
                tries += 1;
                if tries == 2 { Err("gone") } else { Ok(()) }
            },
        );
        assert_eq!((broken, tries), (Err("gone"), 2));
    }

    #[test]
    fn of_the_samples_all_but_the_first_count() {
        assert_eq!(rate(Duration::from_secs(3)), 4 << 20);
        assert_eq!(rate(Duration::ZERO), 12_000_000 << 20, "a way without any resistance divides by nothing");
    }

    #[test]
    fn the_folder_is_looked_at_before_the_first_piece_and_after_the_last() {
        let brought = |brought| Parcel { brought, ..parcel("/x".into(), 100) };
        assert!(must_look(&brought(0)) && must_look(&brought(100)));
        assert!(!must_look(&brought(1)) && !must_look(&brought(99)));
    }

    #[test]
    fn what_libvirt_is_told_cannot_say_something_else() {
        let xml = pool_xml(&parcel("/x".into(), 1)).unwrap();
        assert!(xml.contains("<path>/var/lib/a &amp; &lt;b&gt;</path>"), "{xml}");
        assert!(volume_xml(&parcel("/x".into(), 1)).unwrap().contains("<name>x.part</name>"));
    }
}
