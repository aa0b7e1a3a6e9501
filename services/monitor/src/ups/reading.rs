//! What one UPS says, and what that means. Pure.

/// What a UPS answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its flags with blanks between, as in `OB LB`.
    pub(super) status: String,
    /// How full its battery is, in percent.
    pub(super) charge: Option<u64>,
    /// For how many seconds the battery would last.
    pub(super) runtime: Option<u64>,
}

/// What feeds the load of a UPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The mains.
    OnLine,
    /// Its battery, for so many seconds if that is known.
    OnBattery { seconds_left: Option<u64> },
    /// Nothing: it is switched off.
    Off,
    /// It does not say, as when it has just been started.
    Unclear,
}

impl Reading {
    /// The word in logs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::OnLine => "on line",
            Self::OnBattery { .. } => "on battery",
            Self::Off => "off",
            Self::Unclear => "unclear",
        }
    }
}

/// Understands the flags of `ups.status` (RFC 9271 and NUT's developer guide list them); those that say
/// nothing of the supply, such as `CHRG` or `RB`, are passed over. A battery that is called low lasts no
/// longer than `low_battery_seconds`.
pub(super) fn read(answer: &Answer, low_battery_seconds: u64) -> Reading {
    let has = |flag: &str| answer.status.split_ascii_whitespace().any(|word| word == flag);
    if has("FSD") {
        // It is about to cut the power, whatever its supply and its battery are like.
        return Reading::OnBattery { seconds_left: Some(0) };
    }
    if has("OFF") {
        return Reading::Off;
    }
    // A calibration empties the battery on purpose, and ends when it is low: the mains are there.
    if has("CAL") {
        return Reading::OnLine;
    }
    if has("OB") {
        let seconds_left = if has("LB") {
            Some(answer.runtime.unwrap_or(u64::MAX).min(low_battery_seconds))
        } else {
            // Many a UPS that knows no runtime says 0. One that is at its end says LB.
            answer.runtime.filter(|left| *left > 0)
        };
        return Reading::OnBattery { seconds_left };
    }
    if has("OL") { Reading::OnLine } else { Reading::Unclear }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(status: &str, runtime: Option<u64>) -> Answer {
        Answer { status: status.to_owned(), charge: None, runtime }
    }

    fn reads(status: &str, runtime: Option<u64>) -> Reading {
        read(&answer(status, runtime), 120)
    }

    const fn battery(seconds_left: Option<u64>) -> Reading {
        Reading::OnBattery { seconds_left }
    }

    #[test]
    fn the_supply_is_read_from_among_other_flags() {
        for status in ["OL", "OL CHRG", "OL CHRG LB", "ALARM OL RB", "BOOST OL", "OL BYPASS"] {
            assert_eq!(reads(status, Some(900)), Reading::OnLine, "{status}");
        }
        for status in ["OB", "OB DISCHRG", "ALARM OB RB", "OB OVER"] {
            assert_eq!(reads(status, Some(900)), battery(Some(900)), "{status}");
        }
        for status in ["", "WAIT", "ALARM", "ob", "OBX", "LB"] {
            assert_eq!(reads(status, Some(900)), Reading::Unclear, "{status}");
        }
        for status in ["OFF", "OL OFF", "OB OFF"] {
            assert_eq!(reads(status, Some(900)), Reading::Off, "{status}");
        }
    }

    #[test]
    fn a_calibration_is_no_loss_of_power_and_a_forced_shutdown_is_one() {
        assert_eq!(reads("OB CAL DISCHRG LB", Some(30)), Reading::OnLine);
        assert_eq!((reads("FSD OL", Some(900)), reads("OB LB FSD", None)), (battery(Some(0)), battery(Some(0))));
    }

    #[test]
    fn a_low_battery_lasts_no_longer_than_low_batteries_do() {
        assert_eq!(reads("OB LB", Some(900)), battery(Some(120)));
        assert_eq!(reads("OB LB", Some(30)), battery(Some(30)));
        assert_eq!((reads("OB LB", None), reads("OB LB", Some(0))), (battery(Some(120)), battery(Some(0))));
        assert_eq!((reads("OB", None), reads("OB", Some(0))), (battery(None), battery(None)));
    }

    proptest! {
        #[test]
        fn only_its_own_flags_make_a_loss_of_power(status in "[A-Z ]{0,20}", runtime in prop::option::of(any::<u64>())) {
            let lost = matches!(reads(&status, runtime), Reading::OnBattery { .. });
            let flags: Vec<&str> = status.split(' ').collect();
            prop_assert!(!lost || flags.contains(&"OB") || flags.contains(&"FSD"));
        }
    }
}
