//! Images and networks.

use watari_contracts::{image::ImageView, network::NetworkView};
use watari_model::{
    Said,
    image::{self, State},
};

use super::joined;
use crate::{
    doctor::{
        facts::Facts,
        finding::{Finding, said},
    },
    texts::troubles::Trouble,
};

/// Less than this part of the addresses is little.
const ADDRESSES_LEAST_PART: u64 = 10;

/// Images that came to nothing.
pub(super) fn failed_images(facts: &Facts) -> Vec<Finding> {
    let cause = |image: &ImageView| {
        let fault = image.fault.as_ref();
        fault.map_or_else(|| said("-"), |fault| Said::new(fault.cause.clone(), fault.ja.cause.clone()))
    };
    let failed = facts.images.iter().filter(|image| image.state == State::Failed);
    let trouble = |image: &ImageView| Trouble::ImageFailed { image: said(&image.name), cause: cause(image) };
    failed.map(|image| Finding::of(trouble(image))).collect()
}

/// Images that not every site has for itself.
pub(super) fn copies(facts: &Facts) -> Vec<Finding> {
    let ready = facts.images.iter().filter(|image| image.state == State::Ready);
    let found = ready.filter_map(|image| {
        let names = facts.sites.iter().map(|site| &site.name);
        let lacking: Vec<_> = names.filter(|site| !image::is_at(site, &image.copies, &image.kept)).collect();
        let trouble = || Trouble::ImageNotEverywhere { image: said(&image.name), sites: joined(&lacking) };
        (!lacking.is_empty()).then(|| Finding::of(trouble()))
    });
    found.collect()
}

/// Networks with few addresses left.
pub(super) fn addresses(facts: &Facts) -> Vec<Finding> {
    let few = |network: &&NetworkView| {
        let all = network.addresses_used.saturating_add(network.addresses_free);
        network.addresses_free.saturating_mul(ADDRESSES_LEAST_PART) < all
    };
    let trouble = |network: &NetworkView| Trouble::NetworkFilling {
        network: said(&network.name),
        used: said(network.addresses_used),
        free: said(network.addresses_free),
    };
    facts.networks.iter().filter(few).map(|network| Finding::of(trouble(network))).collect()
}

#[cfg(test)]
mod tests {
    use watari_model::image::{Kept, ObjectStore};

    use super::*;
    use crate::doctor::{checks::tests::codes, facts::sample::healthy};

    #[test]
    fn an_image_that_failed_or_that_a_site_lacks_is_named() {
        let mut facts = healthy();
        let site = facts.sites[1].name.clone();
        facts.images[0].copies.remove(&site);
        let found = copies(&facts);
        assert_eq!(codes(&found), ["image.one-copy"]);
        assert!(matches!(&found[0].trouble, Trouble::ImageNotEverywhere { sites, .. } if sites.en == site.as_str()));
        let store = |campus: &str| ObjectStore { url: "s3://images".to_owned(), campus: campus.parse().ok() };
        let kept = |campus| Kept { store: store(campus), at: facts.now };
        let (near, far) = (kept(site.as_str()), kept(facts.sites[0].name.as_str()));
        facts.images[0].kept.insert(site.clone(), far);
        assert_eq!(codes(&copies(&facts)), ["image.one-copy"], "a store at the other campus goes dark with it");
        facts.images[0].kept.insert(site, near);
        assert_eq!(copies(&facts), []);
        facts.images[0].kept.clear();
        facts.images[0].state = State::Importing;
        assert_eq!(copies(&facts), [], "its copies are still to be made");
        facts.images[0].state = State::Failed;
        assert_eq!(codes(&failed_images(&facts)), ["image.failed"]);
    }

    #[test]
    fn a_network_with_few_addresses_is_named() {
        let mut facts = healthy();
        for (used, free, named) in [(90, 10, false), (91, 9, true), (1, 0, true), (0, u64::MAX, false)] {
            (facts.networks[0].addresses_used, facts.networks[0].addresses_free) = (used, free);
            assert_eq!(!addresses(&facts).is_empty(), named, "{used} used, {free} free");
        }
    }
}
