//! How a server is to be asked from outside.

use watari_model::{
    Refusal, Said, said,
    vm::{MOST_PROBES, Probe},
};

use super::super::out_of_range;

/// Checks that there are not too many probes, and each is there once.
pub(super) fn check_probes(probes: &[Probe]) -> Result<(), Refusal> {
    if probes.len() > MOST_PROBES {
        let allowed = said!("at most {MOST_PROBES} entries", "{MOST_PROBES} 個以下");
        return Err(out_of_range("probes", probes.len(), allowed));
    }
    let twice = probes.iter().enumerate().find(|(index, probe)| probes.iter().skip(index + 1).any(|o| o == *probe));
    match twice {
        Some((_, probe)) => {
            let allowed = Said::new("each probe once", "同じプローブを重ねない一覧");
            Err(out_of_range("probes", format!("{probe}, {probe}"), allowed))
        }
        None => Ok(()),
    }
}
