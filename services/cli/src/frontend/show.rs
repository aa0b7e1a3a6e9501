//! The picture as tables.

use watari_contracts::frontend::{StreamView, Voter};

use super::status::{Instance, ServiceStatus, Status};
use crate::{
    Context,
    failure::Failure,
    out::{Column, Out, joined, or_dash},
    texts::{
        fronts,
        words::{self, Word},
    },
};

pub(super) fn show(ctx: &Context, status: &Status) -> Result<(), Failure> {
    let names = status.services.iter().map(|service| service.service.name().to_owned());
    ctx.out.reported(status, names, || text(ctx.out, status))
}

fn text(out: Out, status: &Status) -> String {
    let mut parts = Vec::new();
    if let Some(wish) = &status.wish {
        parts.push(words::wished(out.lang, wish.site.as_str(), wish.home.as_str()));
    }
    parts.push(services(out, &status.services));
    parts.push(streams(out, &status.streams));
    if let Some(quorum) = &status.quorum {
        let votes = quorum.servers.iter().filter(|s| s.votes && s.online).count();
        let leader = or_dash(quorum.leader.as_ref());
        parts.push(words::majority(out.lang, &leader, votes, quorum.needed));
        parts.push(servers(out, &quorum.servers, &quorum.others));
    }
    if status.services.iter().all(|service| service.leader.is_none()) {
        parts.push(fronts::without_majority(out.lang).to_owned());
    }
    parts.join("\n\n")
}

fn services(out: Out, services: &[ServiceStatus]) -> String {
    let columns = [
        Column::Text(Word::Service),
        Column::Text(Word::LeadsFrom),
        Column::Text(Word::Leader),
        Column::Number(Word::Epoch),
        Column::Text(Word::Standbys),
    ];
    let standby = |i: &Instance| format!("{} ({})", or_dash(i.site.as_ref()), i.lag);
    let row = |s: &ServiceStatus| {
        let leader = s.leader.as_ref();
        vec![
            s.service.name().to_owned(),
            or_dash(leader.and_then(|l| l.site.as_ref())),
            or_dash(leader.map(|l| &l.instance)),
            or_dash(leader.and_then(|l| l.epoch)),
            joined(s.standbys.iter().map(standby)),
        ]
    };
    out.table(&columns, services.iter().map(row))
}

fn streams(out: Out, streams: &[StreamView]) -> String {
    let columns = [
        Column::Text(Word::Bucket),
        Column::Number(Word::Replicas),
        Column::Text(Word::Leader),
        Column::Text(Word::Followers),
    ];
    let row = |s: &StreamView| {
        let follower = |f: &watari_contracts::frontend::Follower| match (f.offline, f.current) {
            (true, _) => format!("{} ({})", f.name, Word::Away.text(out.lang)),
            (false, true) => f.name.clone(),
            // What it lacks is not always known.
            (false, false) if f.lag == 0 => format!("{} ({})", f.name, Word::CatchingUp.text(out.lang)),
            (false, false) => format!("{} (-{})", f.name, f.lag),
        };
        vec![
            s.bucket.clone(),
            s.replicas.to_string(),
            or_dash(s.leader.as_ref()),
            joined(s.followers.iter().map(follower)),
        ]
    };
    out.table(&columns, streams.iter().map(row))
}

fn servers(out: Out, servers: &[Voter], others: &[String]) -> String {
    let columns = [Word::Host, Word::Site, Word::Name, Word::Votes, Word::State].map(Column::Text);
    let row = |v: &Voter| {
        let word = |yes: bool| if yes { Word::Yes } else { Word::No }.text(out.lang).to_owned();
        let state = match (v.online, v.current) {
            (false, _) => Word::Away,
            (true, true) => Word::UpToDate,
            (true, false) => Word::CatchingUp,
        };
        let (site, name) = (or_dash(v.site.as_ref()), or_dash(v.name.as_ref()));
        vec![v.host.clone(), site, name, word(v.votes), state.text(out.lang).to_owned()]
    };
    let none = || "-".to_owned();
    let other = |name: &String| vec![none(), none(), name.clone(), Word::Yes.text(out.lang).to_owned(), none()];
    out.table(&columns, servers.iter().map(row).chain(others.iter().map(other)))
}
