//! What cannot be used stops the start, with a message that names it and says what to do.

use std::os::unix::fs::PermissionsExt as _;

use crate::place::Place;

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_named_with_its_source_and_what_is_expected() {
    let wrong = [
        ("COMMONTRACE_LISTEN", "localhost", "listen"),
        (
            "RATE_LIMIT_READ_PER_MINUTE",
            "0",
            "rate_limit_read_per_minute",
        ),
        ("COMMONTRACE_IMPORT_SEEDS", "perhaps", "import_seeds"),
        ("EMBEDDING_PROVIDER", "ollama", "embedding_provider"),
        ("DATABASE_URL", "mysql://h/db", "database_url"),
        ("REDIS_URL", "cache:6379", "redis_url"),
        ("COMMONTRACE_LOG", "loud", "log"),
    ];
    for (variable, value, setting) in wrong {
        let ran = Place::new().with(variable, value).run(&["serve"]).await;
        ran.failed_with_hint(2, &[&format!("setting `{setting}`"), variable, "expected"]);
    }
}

#[tokio::test]
async fn all_wrong_settings_are_told_at_once() {
    let place = Place::new()
        .with("VALIDATION_THRESHOLD", "many")
        .with("COMMONTRACE_LOG_FORMAT", "xml");
    place
        .run(&["serve"])
        .await
        .failed_with_hint(2, &["VALIDATION_THRESHOLD", "COMMONTRACE_LOG_FORMAT"]);
}

#[tokio::test]
async fn an_unknown_key_in_the_file_is_named_with_what_was_meant() {
    let place = Place::new();
    let file = place.write(
        ".config/commontrace/config.toml",
        "[storage]\ndata_dri = \"/srv\"\n",
    );
    let name = file.to_str().unwrap();
    place
        .run(&["serve"])
        .await
        .failed_with_hint(2, &[name, "data_dri", "did you mean `data_dir`?"]);
    place.write(".config/commontrace/config.toml", "[storage\n");
    place
        .run(&["serve"])
        .await
        .failed_with_hint(2, &[name, ":1", "TOML"]);
    place
        .run(&["serve", "--config", "/nowhere.toml"])
        .await
        .failed_with_hint(2, &["/nowhere.toml", "No such file", "--config"]);
    let directory = place.path(".config");
    let directory = directory.to_str().unwrap();
    place
        .run(&["serve", "--config", directory])
        .await
        .failed_with_hint(2, &[directory, "--config"]);
}

#[tokio::test]
async fn openai_without_a_key_says_which_variable_to_set() {
    let place = Place::new().with("EMBEDDING_PROVIDER", "openai");
    place
        .run(&["serve"])
        .await
        .failed_with_hint(2, &["OPENAI_API_KEY", "OPENAI_BASE_URL"]);
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    let file = place.write("file", "not a directory");
    let below = file.join("data");
    let below = below.to_str().unwrap();
    place
        .run(&["serve", "--data-dir", below])
        .await
        .failed_with_hint(1, &[below, "COMMONTRACE_DATA_DIR"]);
}

#[tokio::test]
async fn a_database_file_that_may_not_be_written_is_named() {
    let place = Place::new();
    let dir = place.data_dir();
    // The superuser may write anywhere; a directory in the file's place stops even that one.
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir_all(dir.join("commontrace.db")).unwrap();
    } else {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o500)).unwrap();
    }
    let file = dir.join("commontrace.db");
    place
        .run(&["serve"])
        .await
        .failed_with_hint(1, &[file.to_str().unwrap()]);
}

#[tokio::test]
async fn a_corrupt_database_is_named_and_left_as_it_is() {
    let place = Place::new();
    let garbage = b"this has never been a database ".repeat(500);
    let file = place.write("data/commontrace.db", &garbage);
    place.run(&["serve"]).await.failed_with_hint(
        1,
        &[
            file.to_str().unwrap(),
            "not a database",
            "COMMONTRACE_DATA_DIR",
        ],
    );
    assert_eq!(std::fs::read(&file).unwrap(), garbage);
}

#[tokio::test]
async fn a_database_that_was_cut_short_does_not_start() {
    let place = Place::new();
    place.serve().await.stop().await;
    let file = place.data_dir().join("commontrace.db");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 3]).unwrap();
    place
        .run(&["serve"])
        .await
        .failed_with_hint(1, &[file.to_str().unwrap(), "is damaged", "backup"]);
}

#[tokio::test]
async fn a_postgresql_that_does_not_answer_is_named_without_its_password() {
    let place = Place::new().with("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/commons");
    let ran = place.run(&["serve"]).await;
    ran.failed_with_hint(1, &["postgres://ada:***@127.0.0.1:1/commons"]);
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn an_occupied_port_is_named_and_the_store_is_not_touched() {
    let place = Place::new();
    let server = place.serve().await;
    let address = server.address.to_string();
    let other = Place::new().with("COMMONTRACE_LISTEN", &address);
    other
        .run(&["serve"])
        .await
        .failed_with_hint(1, &[&address, "COMMONTRACE_LISTEN"]);
    assert!(!other.data_dir().exists());
}

#[tokio::test]
async fn a_damaged_model_file_is_named() {
    let place = Place::new().with("EMBEDDING_PROVIDER", "local");
    let tokenizer = place.write("model/tokenizer.json", "{}");
    place.write("model/model.safetensors", "not weights");
    let model = place.path("model").display().to_string();
    let place = place.with("COMMONTRACE_MODEL_DIR", &model);
    place.run(&["serve"]).await.failed_with_hint(
        1,
        &[
            tokenizer.to_str().unwrap(),
            "make model",
            "EMBEDDING_PROVIDER=none",
        ],
    );
}
