//! The account of whoever uses this machine's commons without naming one.

use commontrace_core::UserId;
use commontrace_server::clock::Clock;
use commontrace_store::{NewAccount, Store};
use uuid::Uuid;

use crate::failure::Failure;

/// The same in every store.
pub const ID: UserId = UserId(Uuid::from_u128(0x636f_6d6d_6f6e_4000_8000_6c6f_6361_6c00));

/// Makes the account if it is not there.
pub async fn ensure(store: &Store) -> Result<(), Failure> {
    if store.account(ID).await?.is_none() {
        let local = NewAccount {
            id: ID,
            email: None,
            display_name: Some("local user".to_owned()),
            can_contribute: true,
            is_moderator: false,
            is_seed: false,
            key_hash: None,
        };
        // Whoever else makes it at the same time makes the same.
        store.create_account(local, Clock::System.now()).await?;
    }
    Ok(())
}
