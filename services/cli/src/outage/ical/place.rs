//! Which site an event is about, by where it is, what kind it is of, or what it is called.

use watari_contracts::scheduler::SiteView;
use watari_model::SiteName;

use super::read::Event;

/// The sites that an event names, in the first of its texts that names any.
pub(super) fn places<'s>(event: &Event, sites: &'s [SiteView]) -> Vec<&'s SiteName> {
    let texts = [&event.location, &event.categories, &event.summary];
    texts.into_iter().map(|text| named(text, sites)).find(|found| !found.is_empty()).unwrap_or_default()
}

fn named<'s>(text: &str, sites: &'s [SiteView]) -> Vec<&'s SiteName> {
    let text = text.to_lowercase();
    let word = |site: &SiteView| {
        let words = [site.name.to_string(), site.title.to_lowercase()];
        words.into_iter().find(|word| contains(&text, word))
    };
    let found: Vec<_> = sites.iter().filter_map(|site| Some((&site.name, word(site)?))).collect();
    // Who is called "east hall" is not meant where "north-east hall" is named.
    let within = |word: &str| found.iter().any(|(_, other)| other != word && other.contains(word));
    found.iter().filter(|(_, word)| !within(word.as_str())).map(|(site, _)| *site).collect()
}

/// Whether a text has a word as a whole. Japanese knows no spaces: only letters of one kind run together.
fn contains(text: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let alone = |(at, found): (usize, &str)| {
        let (before, after) = (text.get(..at), text.get(at + found.len()..));
        !joins(before.and_then(|t| t.chars().next_back())) && !joins(after.and_then(|t| t.chars().next()))
    };
    !word.is_empty() && text.match_indices(word).any(alone)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::outage::ical) fn site(name: &str, title: &str) -> SiteView {
        SiteView {
            name: name.parse().unwrap(),
            title: title.to_owned(),
            state: "active".to_owned(),
            outage: None,
            paused_at: None,
            power: None,
            nodes: 0,
            nodes_ready: 0,
            vms: 0,
            vms_home: 0,
        }
    }

    #[test]
    fn a_site_is_known_by_its_name_or_title_as_a_whole_word_where_it_stands_first() {
        let sites = [site("myodaiji", "明大寺"), site("yamate", "山手"), site("east", ""), site("north-east", "")];
        let event = |location: &str, categories: &str, summary: &str| Event {
            location: location.to_owned(),
            categories: categories.to_owned(),
            summary: summary.to_owned(),
            ..Event::default()
        };
        for (event, expected) in [
            (event("Myodaiji Campus", "", "visit to Yamate"), vec!["myodaiji"]),
            (event("明大寺キャンパス全域", "", ""), vec!["myodaiji"]),
            (event("hall 5", "outage,YAMATE", "Myodaiji"), vec!["yamate"]),
            (event("", "", "山手: 停電"), vec!["yamate"]),
            (event("明大寺・山手", "", ""), vec!["myodaiji", "yamate"]),
            (event("Yamate2", "", "a myodaijian"), vec![]),
            (event("north-east", "", ""), vec!["north-east"]),
            (event("the east", "", ""), vec!["east"]),
        ] {
            let found: Vec<&str> = places(&event, &sites).into_iter().map(SiteName::as_str).collect();
            assert_eq!(found, expected, "{event:?}");
        }
    }
}
