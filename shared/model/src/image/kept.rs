//! Where a site keeps an image beside its front end's disk: in an object store, which several sites may share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SiteName, Timestamp};

/// An object store as an operator knows it. Two sites that name the same one share what is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectStore {
    /// Where it is: `s3://BUCKET/PREFIX`, and by which server unless that is Amazon's. Never a credential.
    pub url: String,
    /// The site with whose power it goes away; none if it stands at neither campus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campus: Option<SiteName>,
}

impl ObjectStore {
    /// Whether a site can still reach it when the other campus is dark.
    #[must_use]
    pub fn outlasts_the_others_of(&self, site: &SiteName) -> bool {
        self.campus.as_ref().is_none_or(|campus| campus == site)
    }
}

/// What a site has in its object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// In which.
    pub store: ObjectStore,
    /// When its front end first saw it there whole.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_on_the_other_campus_is_no_help_when_that_one_is_dark() {
        let (here, there): (SiteName, SiteName) = ("yamate".parse().unwrap(), "myodaiji".parse().unwrap());
        let store = |campus: Option<&SiteName>| ObjectStore { url: "s3://images".to_owned(), campus: campus.cloned() };
        let outlasts = |campus| store(campus).outlasts_the_others_of(&here);
        assert_eq!([outlasts(None), outlasts(Some(&here)), outlasts(Some(&there))], [true, true, false]);
    }
}
