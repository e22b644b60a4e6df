//! Accounts and their API keys.

use chrono::{DateTime, Utc};
use commontrace_core::UserId;
use futures_util::FutureExt;

use crate::pool::on_pool;
use crate::tx::{Tx, on_tx};
use crate::write::execute;
use crate::{Result, Store};

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Account {
    /// The account's id.
    pub id: UserId,
    /// The address it registered with, lower-case.
    pub email: Option<String>,
    /// The name it chose.
    pub display_name: Option<String>,
    /// Whether it may publish while publishing is closed.
    pub can_contribute: bool,
    /// Whether it may moderate.
    pub is_moderator: bool,
    /// When it registered.
    pub created_at: DateTime<Utc>,
}

/// An account to create.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The account's id.
    pub id: UserId,
    /// The address, lower-case, or none for an anonymous account.
    pub email: Option<String>,
    /// The name to show.
    pub display_name: Option<String>,
    /// Whether it may publish while publishing is closed.
    pub can_contribute: bool,
    /// Whether it may moderate.
    pub is_moderator: bool,
    /// Whether it owns the starter traces.
    pub is_seed: bool,
    /// The keyed hash of its API key, or none for an account that never signs in.
    pub key_hash: Option<Vec<u8>>,
}

/// How creating an account went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateAccount {
    /// It exists now.
    Created,
    /// Another account has this address.
    EmailTaken,
}

impl Store {
    /// Creates an account together with its first key.
    pub async fn create_account(
        &self,
        new: NewAccount,
        now: DateTime<Utc>,
    ) -> Result<CreateAccount> {
        self.write(move |tx| {
            async move {
                if !insert_user(tx, &new, now).await? {
                    return Ok(CreateAccount::EmailTaken);
                }
                if let Some(hash) = &new.key_hash {
                    insert_key(tx, new.id, hash, now).await?;
                }
                Ok(CreateAccount::Created)
            }
            .boxed()
        })
        .await
    }

    /// Returns the account that holds a key with this hash, unless the key was revoked.
    pub async fn account_by_key(&self, hash: &[u8]) -> Result<Option<Account>> {
        Ok(on_pool!(self, |db| sqlx::query_as(
            "SELECT u.id, u.email, u.display_name, u.can_contribute, u.is_moderator, u.created_at
             FROM api_keys k JOIN users u ON u.id = k.user_id
             WHERE k.hash = $1 AND k.revoked_at IS NULL",
        )
        .bind(hash)
        .fetch_optional(db)
        .await)?)
    }

    /// Returns an account.
    pub async fn account(&self, id: UserId) -> Result<Option<Account>> {
        Ok(on_pool!(self, |db| sqlx::query_as(
            "SELECT id, email, display_name, can_contribute, is_moderator, created_at
             FROM users WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(db)
        .await)?)
    }

    /// Replaces a key by another; the old one stops working in the same moment. Returns false if
    /// the old one had been revoked already.
    pub async fn rotate_key(
        &self,
        user: UserId,
        old: Vec<u8>,
        new: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        self.write(move |tx| {
            async move {
                if revoke(tx, &old, now).await? == 0 {
                    return Ok(false);
                }
                insert_key(tx, user, &new, now).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// Revokes one key by its hash. Returns false if there is no such key in use.
    pub async fn revoke_key(&self, hash: Vec<u8>, now: DateTime<Utc>) -> Result<bool> {
        self.write(move |tx| async move { Ok(revoke(tx, &hash, now).await? > 0) }.boxed())
            .await
    }

    /// Revokes every key of an account and returns how many were in use.
    pub async fn revoke_keys_of(&self, user: UserId, now: DateTime<Utc>) -> Result<u64> {
        execute!(
            self,
            sqlx::query(
                "UPDATE api_keys SET revoked_at = $2
                 WHERE user_id = $1 AND revoked_at IS NULL",
            )
            .bind(user)
            .bind(now)
        )
    }

    /// Makes an account a moderator. Returns false if there is none.
    pub async fn make_moderator(&self, user: UserId) -> Result<bool> {
        Ok(execute!(
            self,
            sqlx::query(
                "UPDATE users SET is_moderator = TRUE, can_contribute = TRUE WHERE id = $1",
            )
            .bind(user)
        )? > 0)
    }
}

/// Inserts a user; false if the address is taken.
pub(crate) async fn insert_user(
    tx: &mut Tx<'_>,
    new: &NewAccount,
    now: DateTime<Utc>,
) -> Result<bool> {
    Ok(on_tx!(tx, |db| sqlx::query(
        "INSERT INTO users (id, email, display_name, can_contribute, is_moderator, is_seed,
                            up_votes, down_votes, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7)
         ON CONFLICT DO NOTHING",
    )
    .bind(new.id)
    .bind(&new.email)
    .bind(&new.display_name)
    .bind(new.can_contribute)
    .bind(new.is_moderator)
    .bind(new.is_seed)
    .bind(now)
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0))?)
}

async fn insert_key(tx: &mut Tx<'_>, user: UserId, hash: &[u8], now: DateTime<Utc>) -> Result<()> {
    on_tx!(tx, |db| sqlx::query(
        "INSERT INTO api_keys (hash, user_id, created_at) VALUES ($1, $2, $3)"
    )
    .bind(hash)
    .bind(user)
    .bind(now)
    .execute(db)
    .await
    .map(drop))?;
    Ok(())
}

async fn revoke(tx: &mut Tx<'_>, hash: &[u8], now: DateTime<Utc>) -> Result<u64> {
    Ok(on_tx!(tx, |db| sqlx::query(
        "UPDATE api_keys SET revoked_at = $2 WHERE hash = $1 AND revoked_at IS NULL"
    )
    .bind(hash)
    .bind(now)
    .execute(db)
    .await
    .map(|done| done.rows_affected()))?)
}
