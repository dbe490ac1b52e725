//! The root keyring.

use super::Refusal;
use crate::state::{State, Table};
use crate::types::RootKey;

impl State {
    /// The new key is the active one, every other no more.
    pub(super) fn rotate_root_key(&mut self, index: u64, key: &RootKey) {
        for old in self.root_keys.iter_mut().filter(|k| k.state == "active") {
            "inactive".clone_into(&mut old.state);
            old.modify_index = index;
        }
        let mut key = key.clone();
        key.create_index = index;
        key.modify_index = index;
        self.root_keys.push(key);
        self.touch(Table::RootKeys, index);
    }

    pub(super) fn delete_root_key(&mut self, index: u64, id: &str) -> Result<(), Refusal> {
        let key = self.root_keys.iter().find(|key| key.key_id == id);
        match key {
            None => return Err("root key not found".to_owned()),
            Some(key) if key.state == "active" => {
                return Err("active root key cannot be deleted - call rotate first".to_owned());
            }
            Some(_) => {}
        }
        self.root_keys.retain(|key| key.key_id != id);
        self.touch(Table::RootKeys, index);
        Ok(())
    }
}
