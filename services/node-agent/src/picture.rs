//! What a server's screen shows, as a picture that people can open and that an answer has room for.

use std::io::{self, Cursor};

use png::{BitDepth, ColorType, Decoder, Encoder, Limits};
use watari_contracts::agent::{Bytes, MOST_PICTURE, Picture};
use watari_model::{Refusal, VmName};

use crate::{hypervisor::Kind, node::Node};

/// What is refused, in refusals.
const WANTED: &str = "show its screen";
/// How a PNG begins (PNG, third edition, section 5.2).
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// The most memory for reading a picture, in bytes: more than the device has pixels, at three bytes each.
const MOST_READING: usize = 64 << 20;

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
    let packed = tokio::task::spawn_blocking(move || png(&drawn.file, MOST_PICTURE)).await;
    match packed {
        Ok(Ok(png)) => Ok(Picture { png: Bytes(png) }),
        Ok(Err(error)) => Err(Refusal::Internal { detail: format!("the picture of {vm}: {error}") }),
        Err(panic) => Err(Refusal::Internal { detail: format!("the picture of {vm}: {panic}") }),
    }
}

/// A PNG of at most so many bytes, made smaller, both ways by half, until it is.
fn png(file: &[u8], most: usize) -> io::Result<Vec<u8>> {
    if file.starts_with(&SIGNATURE) && file.len() <= most {
        return Ok(file.to_vec());
    }
    let mut pixels = Pixels::read(file)?;
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
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Pixels {
    /// Reads what QEMU wrote: a PNG, or before QEMU 7.1 a PPM.
    fn read(file: &[u8]) -> io::Result<Self> {
        if file.starts_with(&SIGNATURE) {
            return Self::of_png(file);
        }
        Self::of_ppm(file).ok_or_else(|| io::Error::other("QEMU's picture is neither a PNG nor a binary PPM"))
    }

    fn of_png(file: &[u8]) -> io::Result<Self> {
        let mut reader = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MOST_READING }).read_info()?;
        let size = reader.output_buffer_size().filter(|size| *size <= MOST_READING);
        let mut rgb = vec![0; size.ok_or_else(|| io::Error::other("QEMU's picture is too large"))?];
        let frame = reader.next_frame(&mut rgb)?;
        if (frame.color_type, frame.bit_depth) != (ColorType::Rgb, BitDepth::Eight) {
            return Err(io::Error::other("QEMU's picture has other than three bytes a pixel"));
        }
        Ok(Self { width: frame.width, height: frame.height, rgb })
    }

    /// A binary PPM (netpbm's `P6`) of one byte a sample, as QEMU writes it: without comments.
    fn of_ppm(file: &[u8]) -> Option<Self> {
        let mut rest = file;
        let mut word = || {
            let end = rest.iter().position(u8::is_ascii_whitespace)?;
            let (word, after) = rest.split_at(end);
            rest = after.get(1..)?;
            std::str::from_utf8(word).ok()
        };
        let (kind, width, height, depth) = (word()?, word()?, word()?, word()?);
        let (width, height): (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
        let whole = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
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
    fn at(&self, x: u32, y: u32, colour: usize) -> u16 {
        let pixel = y.min(self.height - 1) as usize * self.width as usize + x.min(self.width - 1) as usize;
        self.rgb.get(pixel * 3 + colour).copied().unwrap_or_default().into()
    }

    fn png(&self) -> io::Result<Vec<u8>> {
        let mut png = Vec::new();
        let mut encoder = Encoder::new(&mut png, self.width, self.height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(png)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ppm(width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
        [format!("P6\n{width} {height}\n255\n").as_bytes(), rgb].concat()
    }

    fn shown(png: &[u8]) -> Pixels {
        Pixels::of_png(png).unwrap()
    }

    #[test]
    fn a_screen_is_the_same_picture_as_png() {
        let rgb: Vec<u8> = (0..5 * 4 * 3).map(|n: u8| n.wrapping_mul(37)).collect();
        let png = png(&ppm(5, 4, &rgb), MOST_PICTURE).unwrap();
        assert_eq!(shown(&png), Pixels { width: 5, height: 4, rgb });
        assert_eq!(super::png(&png, png.len()).unwrap(), png, "what QEMU packed itself stays as it is");
        let small = shown(&super::png(&png, png.len() - 1).unwrap());
        assert_eq!((small.width, small.height), (2, 2), "unless it is too large");
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
        let half = png(&ppm(5, 4, &[7; 60]), MOST_PICTURE).unwrap()[..40].to_vec();
        assert!(png(&half, 39).is_err());
        for bad in [cut, long, huge, deep, empty, grey, Vec::new(), b"P6".to_vec()] {
            assert!(png(&bad, MOST_PICTURE).is_err(), "{bad:?}");
        }
    }
}
