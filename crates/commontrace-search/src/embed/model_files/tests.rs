use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::download::ensure_files;
use super::*;

/// Small stand-ins for the real files.
static SMALL: [ModelFile; 2] = [
    ModelFile {
        name: TOKENIZER_FILE,
        bytes: 5,
        // Of "vocab".
        sha256: "273e2549599ddf859b4c24385dfb4dcc23e8e66994c2c176b90c602f77a795c0",
    },
    ModelFile {
        name: WEIGHTS_FILE,
        bytes: 7,
        // Of "weights".
        sha256: "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
    },
];

fn source(base_url: &str) -> Source {
    // Fails only if one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build().expect("a plain client");
    Source {
        base_url: base_url.to_owned(),
        retry_pause: Duration::from_millis(1),
        ..Source::upstream(client)
    }
}

async fn server(files: [(&str, &[u8]); 2]) -> MockServer {
    let server = MockServer::start().await;
    for (name, contents) in files {
        Mock::given(method("GET"))
            .and(path(format!("/{name}")))
            .respond_with(ResponseTemplate::new(200).set_body_bytes(contents))
            .mount(&server)
            .await;
    }
    server
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder exists")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != LOCK_AND_STAMP[0] && name != LOCK_AND_STAMP[1])
        .collect();
    names.sort();
    names
}

const LOCK_AND_STAMP: [&str; 2] = [".download.lock", STAMP_FILE];

#[tokio::test]
async fn absent_files_are_downloaded_and_then_left_alone() {
    let server = server([(TOKENIZER_FILE, b"vocab"), (WEIGHTS_FILE, b"weights")]).await;
    let cache = TempDir::new().expect("a temporary folder");
    let folder = folder_in(cache.path());
    let seen = std::sync::Mutex::new(Vec::new());
    ensure_files(&folder, &source(&server.uri()), &SMALL, |progress| {
        seen.lock().expect("not poisoned").push(progress);
    })
    .await
    .expect("the download succeeds");
    assert_eq!(
        fs::read(folder.join(WEIGHTS_FILE)).expect("it is there"),
        b"weights"
    );
    assert_eq!(names_in(&folder), [WEIGHTS_FILE, TOKENIZER_FILE]);
    let total = 7;
    let done = Progress {
        file: WEIGHTS_FILE,
        received: total,
        total,
    };
    assert_eq!(seen.into_inner().expect("not poisoned").last(), Some(&done));

    ensure_files(&folder, &source(&server.uri()), &SMALL, |_| {
        panic!("nothing to download")
    })
    .await
    .expect("the files are there");
    let requests = server
        .received_requests()
        .await
        .expect("requests are recorded");
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn a_file_with_the_wrong_contents_is_refused_and_not_kept() {
    let server = server([(TOKENIZER_FILE, b"vocab"), (WEIGHTS_FILE, b"WEIGHTS")]).await;
    let folder = TempDir::new().expect("a temporary folder");
    let error = ensure_files(folder.path(), &source(&server.uri()), &SMALL, |_| {})
        .await
        .expect_err("the weights are wrong");
    let message = error.to_string();
    assert!(
        message.contains(WEIGHTS_FILE) && message.contains("make model"),
        "{message}"
    );
    assert!(message.contains(&server.uri()), "{message}");
    assert_eq!(names_in(folder.path()), [TOKENIZER_FILE]);
}

#[tokio::test]
async fn an_interrupted_download_starts_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let served = AtomicUsize::new(0);
    let serve = async {
        loop {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4096];
            let read = socket.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let body = if request.contains(TOKENIZER_FILE) {
                "vocab"
            } else {
                "weights"
            };
            // The first answer breaks off in the middle.
            let cut = if served.fetch_add(1, Ordering::Relaxed) == 0 {
                2
            } else {
                body.len()
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            socket.write_all(head.as_bytes()).await.expect("sent");
            socket
                .write_all(&body.as_bytes()[..cut])
                .await
                .expect("sent");
        }
    };
    let folder = TempDir::new().expect("a temporary folder");
    let source = source(&format!("http://{address}"));
    tokio::select! {
        () = serve => unreachable!("the server never stops"),
        result = ensure_files(folder.path(), &source, &SMALL, |_| {}) => {
            result.expect("the second attempt succeeds");
        }
    }
    assert_eq!(served.load(Ordering::Relaxed), 3);
    assert_eq!(names_in(folder.path()), [WEIGHTS_FILE, TOKENIZER_FILE]);
}

#[tokio::test]
async fn an_unreachable_source_says_what_to_do() {
    let folder = TempDir::new().expect("a temporary folder");
    let error = ensure_files(folder.path(), &source("http://127.0.0.1:1"), &SMALL, |_| {})
        .await
        .expect_err("nobody listens there");
    let message = error.to_string();
    assert!(
        message.contains("http://127.0.0.1:1/tokenizer.json"),
        "{message}"
    );
    assert!(message.contains("make model"), "{message}");
}

#[test]
fn a_missing_file_says_where_it_should_be() {
    let folder = TempDir::new().expect("a temporary folder");
    let message = verify(folder.path())
        .expect_err("nothing is there")
        .to_string();
    assert!(
        message.contains(&folder.path().display().to_string()),
        "{message}"
    );
    assert!(message.contains("make model"), "{message}");
}

#[test]
fn files_changed_after_verification_are_noticed() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join(TOKENIZER_FILE), "vocab").expect("written");
    fs::write(folder.path().join(WEIGHTS_FILE), "weights").expect("written");
    verify_files(folder.path(), &SMALL).expect("the files are right");

    let weights = folder.path().join(WEIGHTS_FILE);
    let changed = File::options()
        .write(true)
        .open(&weights)
        .expect("writable");
    fs::write(&weights, "WEIGHTS").expect("written");
    // As if written a second later: file systems may keep time coarsely.
    changed
        .set_modified(UNIX_EPOCH + Duration::from_secs(1))
        .expect("settable");
    let error = verify_files(folder.path(), &SMALL).expect_err("the weights are wrong");
    assert!(
        matches!(error, ModelFilesError::Unexpected { .. }),
        "{error}"
    );
}
