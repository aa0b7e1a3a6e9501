use std::collections::BTreeSet;

use super::*;

#[test]
fn every_trouble_has_a_code_of_its_own_and_is_told_in_full_in_both_languages() {
    let mut codes = BTreeSet::new();
    for trouble in Trouble::examples() {
        let code = trouble.code();
        assert!(codes.insert(code), "{code} stands twice");
        let (en, ja) = (trouble.told(Lang::En), trouble.told(Lang::Ja));
        for text in [&en.seen, &en.matters, &en.mend, &ja.seen, &ja.matters, &ja.mend] {
            assert!(!text.is_empty() && !text.contains(['{', '}']), "{code}: {text}");
        }
        assert!([&en.seen, &en.matters, &en.mend].iter().all(|text| text.is_ascii()), "{code}");
        assert!([&ja.seen, &ja.matters].iter().all(|text| !text.is_ascii()), "{code}");
        assert!(!en.mend.starts_with("watari node show"), "{code}: to look is not to mend");
    }
}
