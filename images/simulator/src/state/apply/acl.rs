//! Tokens, policies, and roles.

use std::sync::Arc;

use super::Refusal;
use crate::state::{Command, State, Table};
use crate::types::{AclPolicy, AclRole, AclToken};

impl State {
    pub(super) fn change_acl(&mut self, index: u64, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::AclBootstrap { token } => return self.bootstrap_acl(index, token),
            Command::AclTokenUpsert { tokens } => {
                for token in tokens {
                    self.put_token(index, token);
                }
                self.touch(Table::AclTokens, index);
            }
            Command::AclTokenDelete { accessors } => {
                self.acl_tokens.retain(|id, _| !accessors.contains(id));
                self.touch(Table::AclTokens, index);
            }
            Command::AclPolicyUpsert { policies } => {
                for policy in policies {
                    self.put_policy(index, policy);
                }
                self.touch(Table::AclPolicies, index);
            }
            Command::AclPolicyDelete { names } => {
                self.acl_policies.retain(|name, _| !names.contains(name));
                self.touch(Table::AclPolicies, index);
            }
            Command::AclRoleUpsert { roles } => {
                for role in roles {
                    self.put_role(index, role)?;
                }
                self.touch(Table::AclRoles, index);
            }
            Command::AclRoleDelete { ids } => {
                if ids.iter().any(|id| !self.acl_roles.contains_key(id)) {
                    return Err("ACL role not found".to_owned());
                }
                self.acl_roles.retain(|id, _| !ids.contains(id));
                self.touch(Table::AclRoles, index);
            }
            other => unreachable!("not about ACLs: {other:?}"),
        }
        Ok(())
    }

    fn bootstrap_acl(&mut self, index: u64, token: &AclToken) -> Result<(), Refusal> {
        if self.acl_bootstrap_index != 0 {
            return Err(format!(
                "ACL bootstrap already done (reset index: {})",
                self.acl_bootstrap_index
            ));
        }
        self.acl_bootstrap_index = index;
        self.put_token(index, token);
        self.touch(Table::AclTokens, index);
        Ok(())
    }

    /// Secret and creation of a token never change.
    fn put_token(&mut self, index: u64, token: &AclToken) {
        let mut token = token.clone();
        token.create_index = index;
        token.modify_index = index;
        if let Some(old) = self.acl_tokens.get(&token.accessor_id) {
            token.create_index = old.create_index;
            token.create_time.clone_from(&old.create_time);
            token.secret_id.clone_from(&old.secret_id);
        }
        self.acl_tokens
            .insert(token.accessor_id.clone(), Arc::new(token));
    }

    fn put_policy(&mut self, index: u64, policy: &AclPolicy) {
        let mut policy = policy.clone();
        let old = self.acl_policies.get(&policy.name);
        policy.create_index = old.map_or(index, |old| old.create_index);
        policy.modify_index = index;
        self.acl_policies
            .insert(policy.name.clone(), Arc::new(policy));
    }

    fn put_role(&mut self, index: u64, role: &AclRole) -> Result<(), Refusal> {
        let mut others = self.acl_roles.values();
        if others.any(|other| other.name == role.name && other.id != role.id) {
            return Err(format!("ACL role with name {} already exists", role.name));
        }
        let mut role = role.clone();
        let old = self.acl_roles.get(&role.id);
        role.create_index = old.map_or(index, |old| old.create_index);
        role.modify_index = index;
        self.acl_roles.insert(role.id.clone(), Arc::new(role));
        Ok(())
    }
}
