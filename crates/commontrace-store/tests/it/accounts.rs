//! Accounts and keys: an address belongs to one, and a key works until the moment it does not.

use commontrace_core::UserId;
use commontrace_store::Engine::{self, Postgres, Sqlite};
use commontrace_store::{Account, CreateAccount, Install, NewAccount, TriggerReport};
use rstest::rstest;
use serde_json::json;

use crate::support::{TestStore, after, an_account, at_once, fresh, noon};

fn with_key(key: &[u8]) -> NewAccount {
    NewAccount {
        key_hash: Some(key.to_vec()),
        ..an_account()
    }
}

impl TestStore {
    async fn holder(&self, key: &[u8]) -> Option<UserId> {
        self.account_by_key(key)
            .await
            .unwrap()
            .map(|account| account.id)
    }
}

#[rstest]
#[tokio::test]
async fn an_account_reads_back_by_its_id_and_its_key(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let new = NewAccount {
        email: Some("ada@example.org".to_owned()),
        display_name: Some("Ada 🦀".to_owned()),
        can_contribute: false,
        is_moderator: true,
        ..with_key(b"key")
    };
    let id = new.id;
    assert_eq!(
        store.create_account(new, after(3)).await.unwrap(),
        CreateAccount::Created
    );
    let expected = Some(Account {
        id,
        email: Some("ada@example.org".to_owned()),
        display_name: Some("Ada 🦀".to_owned()),
        can_contribute: false,
        is_moderator: true,
        created_at: after(3),
    });
    assert_eq!(store.account(id).await.unwrap(), expected);
    assert_eq!(store.account_by_key(b"key").await.unwrap(), expected);
    assert_eq!(store.account(fresh()).await.unwrap(), None);
    assert_eq!(store.account_by_key(b"other").await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn an_address_belongs_to_one_account(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let email = Some("ada@example.org".to_owned());
    let first = NewAccount {
        email: email.clone(),
        ..with_key(b"first")
    };
    let second = NewAccount {
        email,
        ..with_key(b"second")
    };
    assert_eq!(
        store.create_account(first, noon()).await.unwrap(),
        CreateAccount::Created
    );
    assert_eq!(
        store.create_account(second, noon()).await.unwrap(),
        CreateAccount::EmailTaken
    );
    assert_eq!(
        store.holder(b"second").await,
        None,
        "a refusal leaves no key"
    );
    for key in [b"third", b"forth"] {
        let created = store.create_account(with_key(key), noon()).await.unwrap();
        assert_eq!(
            created,
            CreateAccount::Created,
            "no address is taken by nobody"
        );
    }
    assert_eq!(store.rows("users").await, 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_an_address_at_once_one_gets_it(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let outcomes = at_once((0..10).map(|n: u8| {
        let store = store.handle();
        async move {
            let email = Some("ada@example.org".to_owned());
            store
                .create_account(
                    NewAccount {
                        email,
                        ..with_key(&[n])
                    },
                    noon(),
                )
                .await
                .unwrap()
        }
    }))
    .await;
    let created = outcomes
        .iter()
        .filter(|&&outcome| outcome == CreateAccount::Created)
        .count();
    assert_eq!(
        (
            created,
            store.rows("users").await,
            store.rows("api_keys").await
        ),
        (1, 1, 1)
    );
}

#[rstest]
#[tokio::test]
async fn a_rotated_key_stops_working_in_the_moment_the_new_one_starts(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let new = with_key(b"old");
    let ada = new.id;
    store.create_account(new, noon()).await.unwrap();
    let rotate = async |old: &[u8], new: &[u8]| {
        store
            .rotate_key(ada, old.to_vec(), new.to_vec(), after(1))
            .await
            .unwrap()
    };
    assert!(rotate(b"old", b"new").await);
    assert_eq!(
        (store.holder(b"old").await, store.holder(b"new").await),
        (None, Some(ada))
    );
    assert!(
        !rotate(b"old", b"newer").await,
        "it was rotated away before"
    );
    assert_eq!(
        (store.holder(b"newer").await, store.holder(b"new").await),
        (None, Some(ada))
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_rotated_many_times_at_once_has_one_successor(
    #[values(Sqlite, Postgres)] engine: Engine,
) {
    let store = TestStore::on(engine).await;
    let new = with_key(b"old");
    let ada = new.id;
    store.create_account(new, noon()).await.unwrap();
    let rotated = at_once((0..8).map(|n: u8| {
        let store = store.handle();
        async move {
            store
                .rotate_key(ada, b"old".to_vec(), vec![n], after(1))
                .await
                .unwrap()
        }
    }))
    .await;
    assert_eq!(rotated.iter().filter(|&&done| done).count(), 1);
    assert_eq!(store.stats().await.unwrap().api_keys, 1);
}

#[rstest]
#[tokio::test]
async fn a_revoked_key_stops_working_at_once(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let new = with_key(b"key");
    let ada = new.id;
    store.create_account(new, noon()).await.unwrap();
    assert!(store.revoke_key(b"key".to_vec(), after(1)).await.unwrap());
    assert_eq!(store.holder(b"key").await, None);
    assert!(!store.revoke_key(b"key".to_vec(), after(2)).await.unwrap());
    assert!(
        !store
            .revoke_key(b"unknown".to_vec(), after(2))
            .await
            .unwrap()
    );

    let new = with_key(b"bobs");
    let bob = new.id;
    store.create_account(new, noon()).await.unwrap();
    assert_eq!(store.revoke_keys_of(bob, after(3)).await.unwrap(), 1);
    assert_eq!(store.holder(b"bobs").await, None);
    assert_eq!(store.revoke_keys_of(ada, after(3)).await.unwrap(), 0);
}

#[rstest]
#[tokio::test]
async fn a_moderator_is_made_by_name(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let new = NewAccount {
        can_contribute: false,
        ..an_account()
    };
    let ada = new.id;
    store.create_account(new, noon()).await.unwrap();
    assert!(store.make_moderator(ada).await.unwrap());
    let account = store.account(ada).await.unwrap().unwrap();
    assert!(account.is_moderator && account.can_contribute);
    assert!(!store.make_moderator(fresh()).await.unwrap());
}

#[rstest]
#[tokio::test]
async fn clients_may_report_again_and_again(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let ada = store.register("ada").await;
    for (n, version) in ["1.0", "1.1"].into_iter().enumerate() {
        let install = Install {
            platform: Some("linux".to_owned()),
            skill_version: Some(version.to_owned()),
            install_source: None,
        };
        store
            .report_install(ada, install, after(n as i64))
            .await
            .unwrap();
        store.report_ping(ada, after(10)).await.unwrap();
        let report = TriggerReport {
            session_id: "s1".to_owned(),
            trigger_stats: json!({ "error": { "fired": n } }),
            searches_fired: Some(n as i64),
            traces_consumed: None,
            resolutions_total: Some(i64::MAX),
            resolutions_assisted: Some(0),
        };
        store
            .report_triggers(ada, report.clone(), after(n as i64))
            .await
            .unwrap();
        let other = TriggerReport {
            session_id: format!("s{}", n + 2),
            ..report
        };
        store
            .report_triggers(ada, other, after(n as i64))
            .await
            .unwrap();
    }
    let latest =
        "SELECT COUNT(*) FROM users WHERE skill_version = '1.1' AND last_seen_at IS NOT NULL";
    assert_eq!(store.count(latest).await, 1);
    assert_eq!(
        store.rows("trigger_reports").await,
        3,
        "one for each session"
    );
    let fired = "SELECT searches_fired FROM trigger_reports WHERE session_id = 's1'";
    assert_eq!(store.count(fired).await, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_ask_for_a_generated_fact_get_the_same(#[values(Sqlite, Postgres)] engine: Engine) {
    let store = TestStore::on(engine).await;
    let answers = at_once((0..8).map(|n| {
        let store = store.handle();
        async move {
            store
                .meta_or_insert("pepper", format!("guess {n}"))
                .await
                .unwrap()
        }
    }))
    .await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(
        store.meta_or_insert("other", "x".to_owned()).await.unwrap(),
        "x"
    );
}
