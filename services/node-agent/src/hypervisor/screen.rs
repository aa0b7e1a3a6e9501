//! What a running domain's screen shows. Nothing listens for that: QEMU draws it when it is asked, and libvirt hands the
//! picture over.

use std::sync::Arc;
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::Event;
use tokio::sync::OwnedSemaphorePermit;
use virt::stream::Stream;

use super::domain_xml::{VIDEO, attribute};
use super::error::{Error, Result};
use super::spec::VirtType;
use super::{Hypervisor, within};

const ACT: &str = "take a picture of the screen";
/// How long that may take: less than whoever asks waits for an answer (`bus.request_timeout_ms`).
const TAKES: Duration = Duration::from_secs(4);
/// The most that is taken, in bytes: no mode of the device has more pixels than its memory has bytes (4 Mi), and each
/// comes as three.
const MOST_BYTES: usize = (12 << 20) + 64;
/// What is read at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// What a screen shows, as QEMU draws it.
pub(crate) struct Drawn {
    /// A PNG, or a binary PPM where QEMU writes none.
    pub(crate) file: Vec<u8>,
    /// Given back with it.
    _place: Option<OwnedSemaphorePermit>,
}

impl Hypervisor {
    /// What the domain's first screen shows. One that shows nothing is a picture too.
    ///
    /// # Errors
    /// The domain is not there, is off, or has no screen; QEMU does not answer, or too many pictures are in hand;
    /// libvirt's own.
    pub(crate) async fn picture(&self, name: &str) -> Result<Drawn> {
        let name = name.to_owned();
        let taken = async {
            // Where QEMU does not answer it is given back when libvirt has given up, so that no more calls wait there.
            let place = Arc::clone(&self.pictures).acquire_owned().await.ok();
            self.call(ACT, move |connect| {
                let domain = connect.lookup_domain_by_name(&name)?;
                let stream = Stream::new(connect, 0)?;
                domain.screenshot(&stream, 0, 0)?;
                Ok(Drawn { file: read(stream)?, _place: place })
            })
            .await
        };
        within(ACT, TAKES, taken).await
    }

    /// Whether domains with a screen can run here.
    ///
    /// # Errors
    /// libvirt is away, or its XML is not understood.
    pub async fn has_video(&self, virt_type: VirtType) -> Result<bool> {
        has_model(&self.capabilities(virt_type).await?, VIDEO)
    }
}

fn read(stream: Stream) -> std::result::Result<Vec<u8>, virt::error::Error> {
    let (mut picture, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    while picture.len() <= MOST_BYTES {
        let length = usize::try_from(stream.recv(&mut chunk)?).unwrap_or(0);
        let Some(read) = chunk.get(..length).filter(|read| !read.is_empty()) else {
            stream.finish()?;
            return Ok(picture);
        };
        picture.extend_from_slice(read);
    }
    // Whoever looks at it finds that it is none.
    stream.abort()?;
    Ok(picture)
}

/// Whether the domain capabilities name a video device of that model.
fn has_model(xml: &str, model: &str) -> Result<bool> {
    let mut reader = Reader::from_str(xml);
    let (mut in_video, mut in_models) = (false, false);
    loop {
        match reader.read_event().map_err(|error| Error::Xml(error.to_string()))? {
            Event::Start(start) if start.name().as_ref() == "video" => {
                in_video = attribute(&start, "supported")?.as_deref() == Some("yes");
            }
            Event::End(end) if end.name().as_ref() == "video" => in_video = false,
            Event::Start(start) if in_video && start.name().as_ref() == "enum" => {
                in_models = attribute(&start, "name")?.as_deref() == Some("modelType");
            }
            Event::End(end) if end.name().as_ref() == "enum" => in_models = false,
            Event::Text(text) if in_models && text.xml10_content() == model => return Ok(true),
            Event::Eof => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_the_device_is_known_by_its_capabilities() {
        let xml = |supported: &str, model: &str| {
            format!(
                "<domainCapabilities><devices><graphics supported='yes'><enum name='type'><value>vga</value></enum>\
                 </graphics><video supported='{supported}'><enum name='modelType'><value>cirrus</value>\
                 <value>{model}</value></enum></video></devices></domainCapabilities>"
            )
        };
        assert!(has_model(&xml("yes", "vga"), "vga").unwrap());
        assert!(!has_model(&xml("yes", "virtio"), "vga").unwrap());
        assert!(!has_model(&xml("no", "vga"), "vga").unwrap());
        assert!(!has_model("<domainCapabilities/>", "vga").unwrap());
    }
}
