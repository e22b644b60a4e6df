//! The passwords in the addresses of databases: whatever goes wrong, nothing prints them.

use commontrace_testkit::{Cluster, PASSWORD};

use crate::place::{Place, Ran};

/// Another password, which both servers refuse.
const WRONG: &str = "incorrect-horse-battery-staple";

fn tells_no_password(text: &str) {
    for password in [PASSWORD, WRONG] {
        let line = text.lines().find(|line| line.contains(password));
        assert_eq!(line, None, "a password was printed");
    }
}

fn checked(ran: Ran) -> Ran {
    tells_no_password(&ran.stdout);
    tells_no_password(&ran.stderr);
    ran
}

#[tokio::test]
async fn no_password_is_printed_whatever_is_wrong_with_the_addresses() {
    let cluster = Cluster::start().await;
    let (primary, standby) = (cluster.primary.url(), cluster.standby.url());
    let wrong = [
        cluster.primary.url_with(WRONG),
        primary.replace("/primary", "/nowhere"),
        primary.replace("/postgres?", "/no_such_database?"),
        format!("postgres://ada:{PASSWORD}@127.0.0.1:1/commons"),
        format!("postgres://ada:{PASSWORD}@no-such-host.invalid/commons"),
        format!("postgres://ada:{PASSWORD}@[::1/commons"),
        format!("postgres://ada:{PASSWORD}/x@h/commons"),
        format!("postgres://ada:{PASSWORD}@h:port/commons"),
        format!("postgres://h/commons?password={PASSWORD}&sslmode=sometimes"),
        format!("mysql://ada:{PASSWORD}@h/commons"),
    ];
    for url in &wrong {
        let place = Place::new()
            .with("COMMONTRACE_LOG", "trace")
            .with("DATABASE_URL", url)
            .with("DATABASE_READ_URL", &standby);
        for command in [&["serve"][..], &["doctor"], &["migrate"]] {
            let ran = checked(place.run(command).await);
            assert_ne!(ran.code, Some(0), "{ran:?}");
            assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        }
        checked(place.run(&["config", "show"]).await);
        checked(place.run(&["config", "show", "--json"]).await);
    }
    for url in &wrong {
        let url = url.replace("/primary", "/standby");
        let place = Place::new()
            .with("COMMONTRACE_LOG", "trace")
            .with("DATABASE_URL", &primary)
            .with("DATABASE_READ_URL", &url);
        let doctor = checked(place.run(&["doctor"]).await);
        assert_eq!(doctor.code, Some(1), "{doctor:?}");
        checked(place.run(&["config", "show"]).await);
    }
}

#[tokio::test]
async fn no_password_is_logged_by_a_server_that_works() {
    let mut cluster = Cluster::start().await;
    let place = Place::new()
        .with("COMMONTRACE_LOG", "trace")
        .with("DATABASE_URL", &cluster.primary.url())
        .with("DATABASE_READ_URL", &cluster.standby.url());
    checked(place.run(&["doctor"]).await).ok();
    let server = place.serve().await;
    server.logs("reads go to the replica").await;
    let user = server.user().await;
    user.contributes("a password is in the address").await;
    cluster.standby.stop();
    server.logs("the replica cannot be used").await;
    cluster.primary.stop();
    assert_eq!(user.get("/api/v1/tags").await.status, 503);
    tells_no_password(&server.stop().await);
}

#[tokio::test]
async fn a_replica_needs_a_primary_on_postgresql() {
    let url = format!("postgres://ada:{PASSWORD}@h/commons");
    for (primary, replica) in [
        ("", url.as_str()),
        ("sqlite:x.db", &url),
        (&url, "sqlite:x.db"),
    ] {
        let place = Place::new()
            .with("DATABASE_URL", primary)
            .with("DATABASE_READ_URL", replica);
        let ran = checked(place.run(&["serve"]).await);
        ran.failed_with_hint(2, &["setting `database_read_url`"]);
    }
}
