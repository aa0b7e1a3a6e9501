//! Sizes as people write them: `192MiB`, `2GiB`.

use crate::{
    Refusal, Said, said,
    vm::{DISK_GIB, MEMORY_MIB, VCPUS},
};

/// MiB in one GiB.
pub const MIB_PER_GIB: u64 = 1024;
/// Bytes in one MiB.
pub const MIB: u64 = 1 << 20;
/// Bytes in one GiB.
pub const GIB: u64 = 1 << 30;

/// Reads a server's memory in MiB: a size with a binary unit (`MiB`, `GiB`, `TiB`; `M`, `G`, `T` mean the same). A bare
/// number is refused, since nobody remembers which unit it would be in.
///
/// # Errors
/// [`Refusal::OutOfRange`] naming `field`, and the least and most that a server may have, for anything else.
pub fn parse_memory(field: &str, text: &str) -> Result<u64, Refusal> {
    read(text).filter(|mib| MEMORY_MIB.contains(mib)).ok_or_else(|| {
        let (least, most) = (written(*MEMORY_MIB.start()), written(*MEMORY_MIB.end()));
        let allowed = said!(
            "a size with its unit (MiB, GiB or TiB) from {least} to {most}, such as 192MiB or 2GiB",
            "192MiB や 2GiB のような、単位 (MiB、GiB、TiB) の付いた {least}～{most} の大きさ"
        );
        refused(field, text, allowed)
    })
}

/// Reads a server's disk in whole GiB. What is none is refused: whoever asks for 10 MiB does not want a GiB.
///
/// # Errors
/// As [`parse_memory`], and for what is no whole number of GiB.
pub fn parse_disk(field: &str, text: &str) -> Result<u64, Refusal> {
    whole_gib(text).filter(|gib| DISK_GIB.contains(gib)).ok_or_else(|| {
        let (least, most) = (written(*DISK_GIB.start() * MIB_PER_GIB), written(*DISK_GIB.end() * MIB_PER_GIB));
        let allowed = said!(
            "a size with its unit from {least} to {most} in whole GiB, such as 2GiB",
            "2GiB のような、単位の付いた {least}～{most} で 1GiB 刻みの大きさ"
        );
        refused(field, text, allowed)
    })
}

/// Reads how many virtual CPUs a server has.
///
/// # Errors
/// As [`parse_memory`].
pub fn parse_vcpus(field: &str, text: &str) -> Result<u32, Refusal> {
    text.parse::<u32>().ok().filter(|vcpus| VCPUS.contains(vcpus)).ok_or_else(|| {
        let (least, most) = (*VCPUS.start(), *VCPUS.end());
        refused(
            field,
            text,
            said!("a number of CPUs from {least} to {most}, such as 2", "2 のような、{least}～{most} の CPU 数"),
        )
    })
}

/// Reads what several servers may have together, in MiB, as [`parse_memory`] does, but for the most.
///
/// # Errors
/// As [`parse_memory`].
pub fn parse_mib(field: &str, text: &str) -> Result<u64, Refusal> {
    read(text).filter(|mib| *mib > 0).ok_or_else(|| {
        let allowed = Said::new(
            "a size with its unit (MiB, GiB or TiB), at least 1MiB, such as 192MiB or 2GiB",
            "192MiB や 2GiB のような、単位 (MiB、GiB、TiB) の付いた 1MiB 以上の大きさ",
        );
        refused(field, text, allowed)
    })
}

/// Like [`parse_mib`], into whole GiB: a bound that is rounded is another one.
///
/// # Errors
/// As [`parse_disk`].
pub fn parse_gib(field: &str, text: &str) -> Result<u64, Refusal> {
    whole_gib(text).filter(|gib| *gib > 0).ok_or_else(|| {
        let allowed = Said::new(
            "a size with its unit, at least 1GiB, in whole GiB, such as 2GiB",
            "2GiB のような、単位の付いた 1GiB 以上で 1GiB 刻みの大きさ",
        );
        refused(field, text, allowed)
    })
}

/// In MiB; none for what is no size, or more than can be counted.
fn read(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "m" | "mib" => 1,
        "g" | "gib" => MIB_PER_GIB,
        "t" | "tib" => MIB_PER_GIB * MIB_PER_GIB,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn whole_gib(text: &str) -> Option<u64> {
    read(text).filter(|mib| mib.is_multiple_of(MIB_PER_GIB)).map(|mib| mib / MIB_PER_GIB)
}

/// So many MiB in the largest unit that needs no fraction.
fn written(mib: u64) -> String {
    let gib = mib / MIB_PER_GIB;
    if !mib.is_multiple_of(MIB_PER_GIB) {
        format!("{mib}MiB")
    } else if !gib.is_multiple_of(MIB_PER_GIB) {
        format!("{gib}GiB")
    } else {
        format!("{}TiB", gib / MIB_PER_GIB)
    }
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
            assert_eq!((parse_mib("memory", text), parse_memory("memory", text)), (Ok(mib), Ok(mib)), "{text}");
        }
        for text in ["", "0MiB", "192", "-1GiB", "2GB", "99999999999999999999GiB", "18446744073709551615TiB"] {
            assert!(parse_mib("memory", text).is_err() && parse_memory("memory", text).is_err(), "{text}");
        }
        assert_eq!(parse_mib("memory", "5TiB"), Ok(5 << 20), "what all have together has no such bound");
    }

    #[test]
    fn a_disk_is_of_whole_gib_and_nothing_is_made_larger_than_asked_for() {
        for parse in [parse_gib, parse_disk] {
            assert_eq!(["1GiB", "2048MiB", "1T"].map(|text| parse("--disk", text).unwrap()), [1, 2, 1024]);
            for text in ["10MiB", "1500MiB", "1023MiB", "0GiB"] {
                let refused = parse("--disk", text).unwrap_err();
                assert!(refused.english().cause.contains(text), "{refused}");
            }
        }
        let told = parse_gib("--disk", "10MiB").unwrap_err();
        assert!(
            told.english().remedy.contains("at least 1GiB") && told.japanese().remedy.contains("1GiB 以上"),
            "{told}"
        );
    }

    #[test]
    fn whatever_is_wrong_with_a_servers_size_the_least_and_the_most_are_named_with_their_unit() {
        let told = |refusal: Refusal| (refusal.english().remedy, refusal.japanese().remedy);
        for text in ["0", "128", "-1", "0MiB", "31MiB", "5TiB", "much", "99999999999999999999GiB"] {
            let (en, ja) = told(parse_memory("--memory", text).unwrap_err());
            let size = "a size with its unit (MiB, GiB or TiB) from 32MiB to 4TiB, such as 192MiB or 2GiB";
            assert_eq!(en, format!("for --memory give {size}"), "{text}");
            assert!(
                ja.contains("--memory") && ja.contains("単位 (MiB、GiB、TiB) の付いた 32MiB～4TiB"),
                "{text}: {ja}"
            );
        }
        for text in ["0", "0GiB", "10MiB", "65TiB", "much"] {
            let (en, ja) = told(parse_disk("--disk", text).unwrap_err());
            assert_eq!(
                en, "for --disk give a size with its unit from 1GiB to 64TiB in whole GiB, such as 2GiB",
                "{text}"
            );
            assert!(ja.contains("--disk") && ja.contains("1GiB～64TiB"), "{text}: {ja}");
        }
        for text in ["0", "257", "-1", "99999999999", "two"] {
            let (en, ja) = told(parse_vcpus("--vcpus", text).unwrap_err());
            assert_eq!(en, "for --vcpus give a number of CPUs from 1 to 256, such as 2", "{text}");
            assert!(ja.contains("--vcpus") && ja.contains("1～256"), "{text}: {ja}");
        }
        assert_eq!([1, 256].map(|vcpus| parse_vcpus("--vcpus", &vcpus.to_string())), [Ok(1), Ok(256)]);
    }
}
