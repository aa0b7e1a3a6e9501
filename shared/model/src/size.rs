//! Sizes as people write them: `192MiB`, `2GiB`.

use crate::{Refusal, Said};

/// MiB in one GiB.
pub const MIB_PER_GIB: u64 = 1024;
/// Bytes in one MiB.
pub const MIB: u64 = 1 << 20;
/// Bytes in one GiB.
pub const GIB: u64 = 1 << 30;

/// Reads a size with a binary unit (`MiB`, `GiB`, `TiB`; `M`, `G`, `T` mean the same) into MiB.
/// A bare number is refused, since nobody remembers which unit it would be in.
///
/// # Errors
/// [`Refusal::OutOfRange`] naming `field` for anything else, including zero and overflow.
pub fn parse_mib(field: &str, text: &str) -> Result<u64, Refusal> {
    let refuse = || refused(field, text, Said::new("a size such as 192MiB or 2GiB", "192MiB や 2GiB のような大きさ"));
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| refuse())?;
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "m" | "mib" => 1,
        "g" | "gib" => MIB_PER_GIB,
        "t" | "tib" => MIB_PER_GIB * MIB_PER_GIB,
        _ => return Err(refuse()),
    };
    number.checked_mul(factor).filter(|mib| *mib > 0).ok_or_else(refuse)
}

/// Like [`parse_mib`], into whole GiB. What is none is refused: whoever asks for 10 MiB does not want a GiB, and a bound
/// that is rounded is another one.
///
/// # Errors
/// As [`parse_mib`], and for what is no whole number of GiB.
pub fn parse_gib(field: &str, text: &str) -> Result<u64, Refusal> {
    let mib = parse_mib(field, text)?;
    if mib.is_multiple_of(MIB_PER_GIB) {
        return Ok(mib / MIB_PER_GIB);
    }
    let allowed =
        Said::new("at least 1GiB, in whole GiB, such as 2GiB", "2GiB のような、1GiB 以上で 1GiB 単位の大きさ");
    Err(refused(field, text, allowed))
}

fn refused(field: &str, text: &str, allowed: Said) -> Refusal {
    Refusal::OutOfRange { field: field.to_owned(), value: text.chars().take(40).collect(), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit_and_nonsense_is_refused() {
        for (text, mib) in [("192MiB", 192), ("2GiB", 2048), ("1g", 1024), ("3 TiB", 3 << 20)] {
            assert_eq!(parse_mib("memory", text), Ok(mib), "{text}");
        }
        for text in ["", "0MiB", "192", "-1GiB", "2GB", "99999999999999999999GiB", "18446744073709551615TiB"] {
            assert!(parse_mib("memory", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_disk_is_of_whole_gib_and_nothing_is_made_larger_than_asked_for() {
        assert_eq!(["1GiB", "2048MiB", "1T"].map(|text| parse_gib("--disk", text).unwrap()), [1, 2, 1024]);
        for text in ["10MiB", "1500MiB", "1023MiB", "0GiB"] {
            let refused = parse_gib("--disk", text).unwrap_err();
            assert!(refused.english().cause.contains(text), "{refused}");
        }
        let told = parse_gib("--disk", "10MiB").unwrap_err();
        assert!(
            told.english().remedy.contains("at least 1GiB") && told.japanese().remedy.contains("1GiB 以上"),
            "{told}"
        );
    }
}
