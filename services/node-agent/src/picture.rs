//! What a server's screen shows, as a picture that people can open and that an answer has room for.

use std::io::{self, Write};

use flate2::{Compression, Crc, write::ZlibEncoder};
use watari_contracts::agent::{Bytes, MOST_PICTURE, Picture};
use watari_model::{Refusal, VmName};

use crate::{hypervisor::Kind, node::Node};

/// What is refused, in refusals.
const WANTED: &str = "show its screen";
/// How a PNG begins (PNG, third edition, section 5.2).
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Each byte is told by how much it differs from the one above (section 9.2): most of a screen does not.
const UP: u8 = 2;

/// The picture of a server's screen. That the server is here and has a screen is known.
///
/// # Errors
/// It does not run; libvirt's own.
pub(crate) async fn of(node: &Node, vm: &VmName) -> Result<Picture, Refusal> {
    let drawn = node.hypervisor.picture(vm.as_str()).await.map_err(|error| match error.kind() {
        Kind::InvalidState | Kind::NoDomain => node.not_now(vm, "not running", WANTED),
        _ => node.refuse(&error),
    })?;
    // Packing takes a moment of a processor's.
    let packed = tokio::task::spawn_blocking(move || png(&drawn.ppm, MOST_PICTURE)).await;
    match packed {
        Ok(Ok(png)) => Ok(Picture { png: Bytes(png) }),
        Ok(Err(error)) => Err(Refusal::Internal { detail: format!("the picture of {vm}: {error}") }),
        Err(panic) => Err(Refusal::Internal { detail: format!("the picture of {vm}: {panic}") }),
    }
}

/// A PNG of at most so many bytes, made smaller, both ways by half, until it is.
fn png(file: &[u8], most: usize) -> io::Result<Vec<u8>> {
    let mut pixels = Pixels::read(file).ok_or_else(|| io::Error::other("QEMU's picture is no binary PPM"))?;
    loop {
        let png = pixels.png()?;
        if png.len() <= most || (pixels.width, pixels.height) == (1, 1) {
            return Ok(png);
        }
        pixels = pixels.halved();
    }
}

/// Rows of pixels from above, each pixel a byte of red, of green and of blue. Neither side is 0.
#[derive(Debug, PartialEq, Eq)]
struct Pixels {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Pixels {
    /// Reads a binary PPM (netpbm's `P6`) of one byte a sample, as QEMU writes it: without comments.
    fn read(file: &[u8]) -> Option<Self> {
        let mut rest = file;
        let mut word = || {
            let end = rest.iter().position(u8::is_ascii_whitespace)?;
            let (word, after) = rest.split_at(end);
            rest = after.get(1..)?;
            std::str::from_utf8(word).ok()
        };
        let (kind, width, height, depth) = (word()?, word()?, word()?, word()?);
        let (width, height) = (width.parse().ok()?, height.parse().ok()?);
        let whole = usize::checked_mul(width, height)?.checked_mul(3)?;
        let is_whole = kind == "P6" && depth == "255" && whole > 0 && rest.len() == whole;
        is_whole.then(|| Self { width, height, rgb: rest.to_vec() })
    }

    /// Of half the width and height, each pixel the mean of four.
    fn halved(&self) -> Self {
        let (width, height) = ((self.width / 2).max(1), (self.height / 2).max(1));
        let mut rgb = Vec::with_capacity(self.rgb.len() / 4);
        for y in 0..height {
            for x in 0..width {
                for colour in 0..3 {
                    let near = [(0, 0), (1, 0), (0, 1), (1, 1)];
                    let sum: u16 = near.iter().map(|(dx, dy)| self.at(2 * x + dx, 2 * y + dy, colour)).sum();
                    rgb.push(u8::try_from(sum / 4).unwrap_or(u8::MAX));
                }
            }
        }
        Self { width, height, rgb }
    }

    /// One colour of a pixel; of what is beyond the edge, that at the edge.
    fn at(&self, x: usize, y: usize, colour: usize) -> u16 {
        let pixel = y.min(self.height - 1) * self.width + x.min(self.width - 1);
        self.rgb.get(pixel * 3 + colour).copied().unwrap_or_default().into()
    }

    fn png(&self) -> io::Result<Vec<u8>> {
        let side = |pixels: usize| u32::try_from(pixels).map(u32::to_be_bytes).map_err(io::Error::other);
        let row = self.width * 3;
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        let mut above = vec![0; row];
        for pixels in self.rgb.chunks_exact(row) {
            let differences = pixels.iter().zip(&above).map(|(byte, above)| byte.wrapping_sub(*above));
            packed.write_all(&[UP].into_iter().chain(differences).collect::<Vec<u8>>())?;
            above.copy_from_slice(pixels);
        }
        // Eight bits a sample, red, green and blue; the one method of each kind; not interlaced (section 11.2.1).
        let head = [&side(self.width)?[..], &side(self.height)?[..], &[8, 2, 0, 0, 0][..]].concat();
        let mut png = SIGNATURE.to_vec();
        for (kind, data) in [(b"IHDR", head), (b"IDAT", packed.finish()?), (b"IEND", Vec::new())] {
            let length = u32::try_from(data.len()).map_err(io::Error::other)?;
            let mut sum = Crc::new();
            sum.update(kind);
            sum.update(&data);
            png.extend(length.to_be_bytes());
            png.extend(kind);
            png.extend(data);
            png.extend(sum.sum().to_be_bytes());
        }
        Ok(png)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;

    use super::*;

    fn ppm(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
        [format!("P6\n{width} {height}\n255\n").as_bytes(), rgb].concat()
    }

    /// What a PNG of ours shows; its parts must be whole.
    fn shown(png: &[u8]) -> Pixels {
        let mut rest = png.strip_prefix(&SIGNATURE).unwrap();
        let mut part = |kind: &[u8; 4]| {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (whole, after) = rest.split_at(length + 12);
            rest = after;
            let mut sum = Crc::new();
            sum.update(&whole[4..length + 8]);
            assert_eq!((&whole[4..8], &whole[length + 8..]), (&kind[..], &sum.sum().to_be_bytes()[..]));
            whole[8..length + 8].to_vec()
        };
        let (head, data, end) = (part(b"IHDR"), part(b"IDAT"), part(b"IEND"));
        assert_eq!((&head[8..], end.len()), (&[8, 2, 0, 0, 0][..], 0));
        let [width, height] = [0, 4].map(|at| u32::from_be_bytes(head[at..at + 4].try_into().unwrap()) as usize);
        let (mut lines, row) = (Vec::new(), width * 3);
        ZlibDecoder::new(&data[..]).read_to_end(&mut lines).unwrap();
        let (mut rgb, mut above) = (Vec::new(), vec![0_u8; row]);
        for line in lines.chunks_exact(row + 1) {
            assert_eq!(line[0], UP);
            above = line[1..].iter().zip(&above).map(|(byte, above)| byte.wrapping_add(*above)).collect();
            rgb.extend(&above);
        }
        Pixels { width, height, rgb }
    }

    #[test]
    fn a_screen_is_the_same_picture_as_png() {
        let rgb: Vec<u8> = (0..5 * 4 * 3).map(|n: u8| n.wrapping_mul(37)).collect();
        let png = png(&ppm(5, 4, &rgb), MOST_PICTURE).unwrap();
        assert_eq!(shown(&png), Pixels { width: 5, height: 4, rgb });
    }

    #[test]
    fn what_would_be_too_large_is_made_smaller() {
        // What cannot be packed: chance.
        let mut dice = watari_testkit::Dice::new(7);
        let rgb: Vec<u8> = (0..64 * 48 * 3).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
        let small = png(&ppm(64, 48, &rgb), 3_000).unwrap();
        assert!(small.len() <= 3_000, "{}", small.len());
        let picture = shown(&small);
        assert_eq!((picture.width, picture.height), (32, 24));
        let four: u16 = [0, 3, 64 * 3, 65 * 3].map(|at| u16::from(rgb[at])).iter().sum();
        assert_eq!(u16::from(picture.rgb[0]), four / 4);
        let line = png(&ppm(1, 9, &[200; 27]), 0).unwrap();
        assert_eq!(shown(&line), Pixels { width: 1, height: 1, rgb: vec![200; 3] }, "and not for ever");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let good = ppm(2, 1, &[1; 6]);
        assert!(png(&good, MOST_PICTURE).is_ok());
        let mut long = good.clone();
        long.push(1);
        let huge = ppm(usize::MAX, usize::MAX, &[1; 6]);
        let deep = [&b"P6\n2 1\n65535\n"[..], &[1; 12]].concat();
        let (cut, empty) = (good[..good.len() - 1].to_vec(), ppm(0, 0, &[]));
        let grey = b"P5\n2 1\n255\n111111".to_vec();
        for bad in [cut, long, huge, deep, empty, grey, Vec::new(), b"P6".to_vec()] {
            assert!(png(&bad, MOST_PICTURE).is_err(), "{bad:?}");
        }
    }
}
