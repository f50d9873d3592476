//! The items.

use std::collections::BTreeMap;

use remuda_sdk::{Error, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize)]
pub(crate) struct Item {
    pub(crate) id: u32,
    #[serde(flatten)]
    content: NewItem,
}

/// An item without its number.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct NewItem {
    name: String,
    price: u32,
}

impl NewItem {
    /// What is wrong with each field.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = [
            ("name", "is empty", self.name.trim().is_empty()),
            ("name", "is longer than 100 bytes", self.name.len() > 100),
            ("price", "is 0", self.price == 0),
        ];
        let wrong = wrong.into_iter().filter(|(.., is_so)| *is_so);
        let wrong: BTreeMap<&str, &str> = wrong.map(|(field, what, _)| (field, what)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::unprocessable("the item is not valid").with("errors", wrong))
    }
}

#[derive(Default)]
pub(crate) struct Items {
    all: BTreeMap<u32, NewItem>,
    last: u32,
}

impl Items {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn list(&self, limit: usize) -> Vec<Item> {
        let items = self.all.iter().take(limit);
        items.map(|(id, content)| Item { id: *id, content: content.clone() }).collect()
    }

    pub(crate) fn add(&mut self, content: NewItem) -> Item {
        self.last += 1;
        self.all.insert(self.last, content.clone());
        Item { id: self.last, content }
    }

    pub(crate) fn get(&self, id: u32) -> Option<Item> {
        self.all.get(&id).map(|content| Item { id, content: content.clone() })
    }

    pub(crate) fn replace(&mut self, id: u32, content: NewItem) -> Option<Item> {
        self.all.get_mut(&id)?.clone_from(&content);
        Some(Item { id, content })
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<()> {
        self.all.remove(&id).map(drop)
    }
}
