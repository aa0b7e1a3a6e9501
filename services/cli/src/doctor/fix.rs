//! `watari doctor --fix`: shows of each finding that it can mend what it would do, asks, does it and says so.

use std::{path::Path, time::Duration};

use watari_chassis::clock;

use super::{
    checks::here,
    finding::Finding,
    host::{Host, programs},
    mending::Mending,
};
use crate::{
    confirm,
    failure::Failure,
    lang::Lang,
    options::{Consent, Waiting},
    out,
    texts::mending as texts,
    wait,
};

/// What was started is there within this, or is found again.
const SETTLES: Duration = Duration::from_secs(20);

/// Mends what may be mended: what it has tried to mend. Who does not want one thing is asked about the next one.
///
/// # Errors
/// [`Failure`] if nobody is there to answer, before anything is done.
pub(super) async fn mend(lang: Lang, consent: Consent, findings: &[Finding]) -> Result<Vec<&Finding>, Failure> {
    let mut tried = Vec::new();
    let all: Vec<_> = findings.iter().filter_map(|one| Some((one, Mending::of(&one.trouble)?))).collect();
    if all.is_empty() {
        out::say(texts::nothing(lang));
    }
    for (finding, mending) in all {
        let command = mending.to_string();
        out::say(&finding.trouble.told(lang).seen);
        match confirm::asked(lang, consent, &texts::question(lang, &command)) {
            Ok(()) => {}
            Err(Failure::Silent(_)) => continue,
            Err(failure) => return Err(failure),
        }
        tried.push(finding);
        out::say(&match programs::run(mending.program, &mending.arguments).await {
            Ok(()) => texts::done(lang, &command),
            Err(detail) => texts::failed(lang, &command, &detail),
        });
    }
    Ok(tried)
}

/// Waits until the host is mended. What stays as it was is found again.
pub(super) async fn settle(root: &Path, mended: &[&Finding]) {
    let waiting = Waiting::at_most(SETTLES);
    let _ = wait::until(waiting, async || {
        let found = Host::look(root).await.map(|host| here::found(&host, clock::now())).unwrap_or_default();
        Ok((!found.iter().any(|one| mended.contains(&one))).then_some(()))
    })
    .await;
}
