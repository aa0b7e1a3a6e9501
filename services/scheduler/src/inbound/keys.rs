//! Requests about public keys. Nothing depends on a key's document: a server takes the line
//! itself when it is made, so that deleting a key locks nobody out.

use std::ops::Bound;

use watari_chassis::{WriteError, clock};
use watari_contracts::scheduler::{AddKey, DeleteKey, GetKey, KeyPage, KeyView, ListKeys};
use watari_model::{
    KeyName, Refusal,
    key::{Key, Line},
};

use super::{Desk, TRIES, check_request_id, fill, find, newest, page, unwritten};
use crate::views;

impl Desk {
    pub(super) async fn add_key(self, request: AddKey) -> Result<KeyView, Refusal> {
        check_request_id(request.request_id.as_deref())?;
        let line = Line::parse(&request.public_key).map_err(|not| not.refusal(&request.name))?;
        let wanted = Key {
            v: 1,
            name: request.name,
            key: line,
            request_id: request.request_id.unwrap_or_default(),
            created_at: clock::now(),
        };
        let _turn = self.turns.take(&format!("key {}", wanted.name)).await;
        if let Some(entry) = find(&self.stores().keys, wanted.name.as_str()).await? {
            return same(&entry.value, &wanted);
        }
        if self.stores().keys.snapshot().len() >= self.most_keys {
            return Err(Refusal::KeysFull { limit: self.most_keys.to_string() });
        }
        match self.stores().keys.create(&wanted).await {
            Ok(_) => Ok(views::key(&wanted)),
            Err(WriteError::Exists { .. }) => match newest(&self.stores().keys, wanted.name.as_str()).await? {
                Some(entry) => same(&entry.value, &wanted),
                None => Err(Refusal::NoAnswer { who: "the bus".to_owned() }),
            },
            Err(error) => Err(unwritten(&error)),
        }
    }

    pub(super) async fn get_key(self, request: GetKey) -> Result<KeyView, Refusal> {
        let entry = find(&self.stores().keys, request.name.as_str()).await?;
        entry.map(|entry| views::key(&entry.value)).ok_or_else(|| unknown(&request.name))
    }

    #[allow(clippy::unused_async, reason = "a handler")]
    pub(super) async fn list_keys(self, request: ListKeys) -> Result<KeyPage, Refusal> {
        let limit = page(request.limit, 500)?;
        let known = self.stores().keys.snapshot();
        let after = request.after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        let mut wanted = known.range::<str, _>((after, Bound::Unbounded)).map(|(_, entry)| views::key(&entry.value));
        let keys = fill(wanted.by_ref(), limit);
        let more = known.range::<str, _>((after, Bound::Unbounded)).nth(keys.len()).is_some();
        let next = if more { keys.last().map(|key| key.name.clone()) } else { None };
        Ok(KeyPage { keys, next })
    }

    pub(super) async fn delete_key(self, request: DeleteKey) -> Result<KeyView, Refusal> {
        let name = request.name.as_str();
        let mut entry = find(&self.stores().keys, name).await?.ok_or_else(|| unknown(&request.name))?;
        for _ in 0..TRIES {
            match self.stores().keys.delete(name, entry.revision).await {
                Ok(_) => return Ok(views::key(&entry.value)),
                Err(WriteError::Conflict { .. }) => {
                    entry = newest(&self.stores().keys, name).await?.ok_or_else(|| unknown(&request.name))?;
                }
                Err(error) => return Err(unwritten(&error)),
            }
        }
        Err(Refusal::NoAnswer { who: format!("the document of key {name}") })
    }
}

/// A key that is there already is what was asked for if it is the same key; else the name is taken.
fn same(there: &Key, wanted: &Key) -> Result<KeyView, Refusal> {
    if there.key == wanted.key {
        return Ok(views::key(there));
    }
    if !wanted.request_id.is_empty() && there.request_id == wanted.request_id {
        return Err(Refusal::RequestIdReused { request_id: wanted.request_id.clone() });
    }
    Err(Refusal::KeyExists { key: wanted.name.to_string() })
}

fn unknown(name: &KeyName) -> Refusal {
    Refusal::KeyUnknown { key: name.to_string() }
}
