//! The settings of the program: where they come from, what they are, what is wrong with them.
//!
//! Each setting is declared once, in the file of its section under `sections/`: its name, type,
//! default and help. The flag, the environment variable, the file key, the checks and the `config
//! show` line all follow from that. A value comes from the default, else the settings file, else
//! the environment, else a flag; the last one given wins, and every value remembers its source.
//! Nothing else in the program reads the environment, and nothing here acts on a setting.

mod args;
mod edit;
mod error;
mod file;
mod nearest;
mod sections;
mod setting;
mod show;
mod source;
mod unused;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use args::ConfigArgs;
pub use edit::SettingsFile;
pub use error::ConfigError;
pub use file::to_write as settings_path;
pub use sections::{
    BaseUrl, CorsOrigins, Embedder, JudgeProvider, LogFormat, Publish, RemoteSettings, SearchScope,
    TelemetrySettings,
};
pub use source::{Environment, environment};

use sections::{
    CommonsSettings, EmbeddingSettings, LimitSettings, LogSettings, ServerSettings,
    SessionSettings, StorageSettings, WorkerSettings,
};
use source::Values;

/// Every setting of the program, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server listens and how it answers.
    pub server: ServerSettings,
    /// Where data is kept.
    pub storage: StorageSettings,
    /// What turns text into vectors.
    pub embedding: EmbeddingSettings,
    /// The work behind requests.
    pub worker: WorkerSettings,
    /// How recorded sessions are examined.
    pub sessions: SessionSettings,
    /// The rules of the shared knowledge base.
    pub commons: CommonsSettings,
    /// The server whose commons this machine's programs use.
    pub remote: RemoteSettings,
    /// How much a client may ask for.
    pub limits: LimitSettings,
    /// What is logged and how.
    pub log: LogSettings,
    /// Where the program sends what it does.
    pub telemetry: TelemetrySettings,
    /// What the reader should know although it stops nothing, one sentence each.
    pub notices: Vec<String>,
    /// The settings file that was read, if any.
    pub file: Option<PathBuf>,
    values: Values,
}

impl Config {
    /// Combines defaults, the settings file, the environment and the flags, in that order, and
    /// checks the outcome.
    ///
    /// All values that cannot be used are reported together.
    pub fn load(args: &ConfigArgs, env: &Environment) -> Result<Self, ConfigError> {
        let file = match file::locate(args, env) {
            Some(path) => Some((file::read(&path)?, path)),
            None => None,
        };
        let mut config = Self::combine(file, args, env)?;
        let open = config.open_key();
        config.notices.extend(open);
        Ok(config)
    }

    /// Says so if others on this machine can read the API key in the settings file.
    fn open_key(&self) -> Option<String> {
        use std::os::unix::fs::MetadataExt as _;
        let file = self.file.as_ref()?;
        let holds_key = matches!(self.values.entry("api_key").source, source::Source::File(_));
        let mode = std::fs::metadata(file).ok()?.mode();
        (holds_key && mode & 0o077 != 0).then(|| {
            let file = file.display();
            format!("{file} holds an API key and others may read it: `chmod 600 {file}`")
        })
    }

    /// Returns whether nobody has given the setting `name`.
    pub fn is_default(&self, name: &str) -> bool {
        self.values.entry(name).source == source::Source::Default
    }

    /// Lists the settings that have another value in `other`, as section and name.
    pub fn changed(&self, other: &Self) -> Vec<(&'static str, &'static str)> {
        let changed = self.values.changed(&other.values);
        changed
            .map(|setting| (setting.section, setting.name))
            .collect()
    }

    /// Does the same with a settings file whose text and path are given.
    fn combine(
        file: Option<(String, PathBuf)>,
        args: &ConfigArgs,
        env: &Environment,
    ) -> Result<Self, ConfigError> {
        let given = match &file {
            Some((text, path)) => file::parse(text, path)?,
            None => BTreeMap::new(),
        };
        let server_in_file = given.get("api_base_url").map(|(text, _)| text.clone());
        let values = Values::combine(given, env, args)?;
        let embedding = EmbeddingSettings::read(&values);
        embedding.check(&values)?;
        let storage = StorageSettings::read(&values);
        storage.check(&values)?;

        let mut notices = unused::notices(env);
        notices.extend(embedding.notice());
        let log = LogSettings::read(&values);
        notices.extend(log.notice(&values));
        let telemetry = TelemetrySettings::read(&values);
        notices.extend(telemetry.notice());
        let mut remote = RemoteSettings::read(&values);
        notices.extend(remote.bind_key(&values, server_in_file.as_deref()));
        notices.extend(remote.bind_consent(&values));
        Ok(Self {
            server: ServerSettings::read(&values),
            storage,
            embedding,
            worker: WorkerSettings::read(&values),
            sessions: SessionSettings::read(&values),
            commons: CommonsSettings::read(&values),
            remote,
            limits: LimitSettings::read(&values),
            log,
            telemetry,
            notices,
            file: file.map(|(_, path)| path),
            values,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "/etc/commontrace.toml";

    fn flags(flags: &[&str]) -> ConfigArgs {
        let command =
            ConfigArgs::augment_args(clap::Command::new("commontrace").no_binary_name(true));
        let matches = command
            .try_get_matches_from(flags)
            .expect("flags that exist");
        ConfigArgs::from_arg_matches(&matches).expect("texts are always accepted")
    }

    /// An environment with a home directory and these variables.
    fn env(variables: &[(&str, &str)]) -> Environment {
        let home = ("HOME", "/home/ada");
        variables
            .iter()
            .chain([&home])
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn load(file: &str, variables: &[(&str, &str)], given: &[&str]) -> Result<Config, String> {
        let file =
            Some((file.to_owned(), PathBuf::from(FILE))).filter(|(text, _)| !text.is_empty());
        Config::combine(file, &flags(given), &env(variables)).map_err(|err| err.to_string())
    }

    fn error(file: &str, variables: &[(&str, &str)], given: &[&str]) -> String {
        load(file, variables, given).expect_err("refused")
    }

    #[test]
    fn one_name_leads_to_flag_variable_and_key() {
        for setting in sections::all() {
            let capitals = setting.name.to_ascii_uppercase();
            assert_eq!(
                setting
                    .env
                    .strip_prefix("COMMONTRACE_")
                    .unwrap_or(setting.env),
                capitals
            );
            assert_eq!(setting.flag, setting.name.replace('_', "-"));
            assert_eq!(
                sections::all()
                    .filter(|other| other.name == setting.name)
                    .count(),
                1
            );
        }
    }

    #[test]
    fn without_any_source_the_defaults_stand() {
        let config = load("", &[], &[]).expect("defaults are acceptable");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
        assert_eq!(
            config.storage.data_dir,
            PathBuf::from("/home/ada/.local/share/commontrace")
        );
        assert_eq!(config.storage.database_url, None);
        assert_eq!(
            config.embedding.model_dir,
            PathBuf::from("/home/ada/.cache/commontrace/models/all-MiniLM-L6-v2")
        );
        assert_eq!(config.limits.max_body_bytes.get(), 1024 * 1024);
        assert_eq!(config.notices, Vec::<String>::new());
        assert!(
            config
                .values
                .entries
                .iter()
                .all(|entry| entry.source == source::Source::Default)
        );
    }

    #[test]
    fn flags_win_over_variables_over_the_file() {
        let file = "[server]\nlisten = '127.0.0.1:1'\n";
        let variable = [("COMMONTRACE_LISTEN", "127.0.0.1:2")];
        let port = |file, variables: &[_], given: &[_]| {
            let config = load(file, variables, given).expect("acceptable");
            (
                config.server.listen.port(),
                config.values.entry("listen").source.to_string(),
            )
        };
        let flag = ["--listen", "127.0.0.1:3"];
        assert_eq!(port("", &[], &[]), (8000, "default".into()));
        assert_eq!(port(file, &[], &[]), (1, format!("file {FILE}")));
        assert_eq!(
            port(file, &variable, &[]),
            (2, "environment COMMONTRACE_LISTEN".into())
        );
        assert_eq!(port(file, &variable, &flag), (3, "flag --listen".into()));
        assert_eq!(
            port(file, &[("COMMONTRACE_LISTEN", "")], &[]).0,
            1,
            "an empty variable is not set"
        );
    }

    #[test]
    fn a_file_may_spell_values_as_toml_does() {
        let config = load(
            "[server]\ncors_origins = ['https://a.example', 'http://b:3000']\n\
             [commons]\nimport_seeds = false\nflags_to_hide = 5\n",
            &[],
            &["--debug"],
        )
        .expect("acceptable");
        let origins = vec!["https://a.example".to_owned(), "http://b:3000".to_owned()];
        assert_eq!(config.server.cors_origins, Some(CorsOrigins::List(origins)));
        assert!(!config.commons.import_seeds);
        assert_eq!(config.commons.flags_to_hide.get(), 5);
        assert!(config.log.debug);
        assert_eq!(config.log.log.to_filter().to_string(), "debug");
    }

    #[test]
    fn what_a_file_gets_wrong_is_named_with_what_was_meant() {
        for (file, expected) in [
            (
                "[server]\nlisen = ''",
                "unknown key `lisen` in [server]; did you mean `listen`?",
            ),
            (
                "[sever]\nlisten = ''",
                "unknown section [sever]; did you mean `server`?",
            ),
            (
                "[server]\ndata_dir = '/x'",
                "key `data_dir` belongs in [storage], not in [server]",
            ),
            (
                "listen = ''",
                "key `listen` stands outside its section [server]",
            ),
            (
                "colour = 1",
                "unknown key `colour`; `commontrace config show` lists what there is",
            ),
            (
                "[log]\nlog = 1.5",
                "key `log` in [log] has the type float, expected a level",
            ),
            (
                "[server]\ncors_origins = [1]",
                "key `cors_origins` in [server] has the type array, expected `*`, or origins",
            ),
        ] {
            let err = error(file, &[], &[]);
            assert!(err.starts_with(&format!("{FILE}: {expected}")), "{err}");
        }
        let err = error("[server]\nopenai_api_key = \"sk-secret\n", &[], &[]);
        assert!(
            err.starts_with(&format!("{FILE}:2: not valid TOML")) && !err.contains("sk-secret"),
            "{err}"
        );
    }

    #[test]
    fn everything_that_is_refused_is_reported_at_once() {
        let err = error(
            "[limits]\nrate_limit_read_per_minute = 0\n",
            &[
                ("COMMONTRACE_LISTEN", "8000"),
                ("DATABASE_URL", "mysql://u:hunter2@h/d"),
            ],
            &["--log-format", "xml"],
        );
        assert_eq!(
            err.lines().collect::<Vec<_>>(),
            [
                "setting `listen` (environment COMMONTRACE_LISTEN): `8000` is not accepted, \
                 expected an IP address and a port, such as 127.0.0.1:8000 or [::]:8000",
                "setting `database_url` (environment DATABASE_URL): the value is not accepted, \
                 expected sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME \
                 (special characters in the password as %XX)",
                "setting `rate_limit_read_per_minute` (file /etc/commontrace.toml): \
                 `0` is not accepted, expected a whole number from 1 to 4294967295",
                "setting `log_format` (flag --log-format): `xml` is not accepted, \
                 expected pretty or json",
            ]
        );
    }

    #[test]
    fn a_service_without_a_home_needs_only_its_data_directory() {
        let given = |flags_given: &[&str]| {
            Config::combine(None, &flags(flags_given), &Environment::new())
                .map_err(|err| err.to_string())
        };
        let err = given(&[]).expect_err("no place for data");
        assert!(
            err.contains("set COMMONTRACE_DATA_DIR or --data-dir"),
            "{err}"
        );
        let config = given(&["--data-dir", "/srv/ct"]).expect("acceptable");
        assert_eq!(
            config.embedding.model_dir,
            PathBuf::from("/srv/ct/models/all-MiniLM-L6-v2")
        );
    }

    #[test]
    fn the_embedder_gets_what_its_provider_needs() {
        let openai = [("EMBEDDING_PROVIDER", "openai"), ("OPENAI_API_KEY", "sk-1")];
        match load("", &openai, &[])
            .expect("acceptable")
            .embedding
            .embedder()
        {
            Embedder::OpenAi {
                api_key: Some(key),
                base_url,
                model,
                dimensions: 1536,
            } => {
                assert_eq!(
                    (key.expose(), base_url.as_str()),
                    ("sk-1", "https://api.openai.com/v1")
                );
                assert_eq!(model, "text-embedding-3-small");
            }
            other => panic!("{other:?}"),
        }
        for (given, setting) in [
            (&["--embedding-provider=openai"][..], "openai_api_key"),
            (&["--embedding-model=other"], "embedding_model"),
            (
                &[
                    "--embedding-provider=openai",
                    "--openai-base-url=http://h/v1",
                    "--embedding-model=m",
                ],
                "embedding_dimensions",
            ),
        ] {
            let err = error("", &[], given);
            assert!(err.starts_with(&format!("setting `{setting}`")), "{err}");
        }
        let local = load("", &[("EMBEDDING_DIMENSIONS", "1536")], &[]).expect("of no consequence");
        assert!(matches!(local.embedding.embedder(), Embedder::Local { .. }));
        assert_eq!(local.notices.len(), 1);
    }

    #[test]
    fn retired_and_misspelt_variables_are_noticed_once() {
        let variables = [
            ("RETRIEVAL_SOMATIC_FLOOR", ".75"),
            ("SAVINGS_PRICE_PER_MTOK", "5"),
            ("COMMONTRACE_DATADIR", "/x"),
            ("COMMONTRACE_TEST_POSTGRES_URL", "postgres://h/d"),
        ];
        assert_eq!(
            load("", &variables, &[]).expect("acceptable").notices,
            [
                "these variables have no effect any more and can be removed: \
                 RETRIEVAL_SOMATIC_FLOOR, SAVINGS_PRICE_PER_MTOK",
                "the variable COMMONTRACE_DATADIR is no setting and has no effect; \
                 COMMONTRACE_DATA_DIR is one",
            ]
        );
    }

    #[test]
    fn a_key_goes_only_to_the_server_it_was_written_down_for() {
        let file = "[remote]\napi_base_url = 'https://a.example/x'\napi_key = 'k'\n";
        let key = |variables: &[_]| {
            let config = load(file, variables, &[]).expect("acceptable");
            (config.remote.api_key.is_some(), config.notices.len())
        };
        let elsewhere = ("COMMONTRACE_API_BASE_URL", "https://b.example");
        assert_eq!(key(&[]), (true, 0));
        assert_eq!(
            key(&[("COMMONTRACE_API_BASE_URL", "https://a.example")]),
            (true, 0)
        );
        assert_eq!(key(&[elsewhere]), (false, 1));
        assert_eq!(
            key(&[elsewhere, ("COMMONTRACE_API_KEY", "other")]),
            (true, 0)
        );
    }

    #[test]
    fn debug_yields_to_a_filter_and_says_so() {
        let config = load("", &[("DEBUG", "1"), ("COMMONTRACE_LOG", "warn")], &[]).unwrap();
        assert_eq!(config.log.log.to_filter().to_string(), "warn");
        assert!(config.notices[0].starts_with("DEBUG has no effect"));
    }

    #[test]
    fn a_setting_that_changed_is_listed_by_section_a_secret_too() {
        let load = |file| load(file, &[], &[]).expect("acceptable");
        let before =
            load("[server]\nlisten = '127.0.0.1:1'\n[embedding]\nopenai_api_key = 'sk-1'\n");
        assert_eq!(before.changed(&before.clone()), []);
        let after = load("[embedding]\nopenai_api_key = 'sk-2'\n");
        assert_eq!(
            after.changed(&before),
            [("server", "listen"), ("embedding", "openai_api_key")]
        );
    }

    #[test]
    fn show_lines_up_name_value_and_source() {
        let text = load("", &[("OPENAI_API_KEY", "sk-1")], &["--listen", "[::]:80"])
            .expect("acceptable")
            .to_text();
        let columns = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .expect("every setting has a line");
            line.split_whitespace()
                .skip(1)
                .map(|word| (line.find(word), word))
                .collect::<Vec<_>>()
        };
        let (listen, key) = (columns("listen "), columns("openai_api_key "));
        assert_eq!(
            (listen[0].1, listen[1].1, listen[2].1),
            ("[::]:80", "flag", "--listen")
        );
        assert_eq!(
            (key[0].1, key[1].1, key[2].1),
            ("(set)", "environment", "OPENAI_API_KEY")
        );
        assert_eq!((listen[0].0, listen[1].0), (key[0].0, key[1].0));
    }

    #[test]
    fn show_as_json_has_null_for_what_is_not_set() {
        let json = load("", &[], &["--import-seeds=no"])
            .expect("acceptable")
            .to_json();
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let line = |name: &str| {
            json["settings"]
                .as_array()
                .expect("a list")
                .iter()
                .find(|line| line["name"] == name)
                .cloned()
        };
        let seeds = line("import_seeds").expect("listed");
        assert_eq!(seeds["value"], "false");
        assert_eq!(
            seeds["source"],
            serde_json::json!({"kind": "flag", "name": "--import-seeds"})
        );
        assert!(line("openai_api_key").expect("listed")["value"].is_null());
    }

    proptest! {
        #[test]
        fn no_secret_is_ever_shown(secret in "[!-~]{8,40}", url_safe in "[A-Za-z0-9%/?#@:]{8,20}") {
            let url = format!("postgres://ada:{url_safe}@db/commons?password={url_safe}");
            let variables = [
                ("API_KEY_PEPPER", secret.as_str()),
                ("OPENAI_API_KEY", &secret),
                ("DATABASE_URL", &url),
            ];
            let told = match load("", &variables, &[]) {
                Ok(config) => format!("{}{}{config:?}", config.to_text(), config.to_json()),
                Err(err) => err,
            };
            prop_assert!(!told.contains(&secret) && !told.contains(&url_safe), "{told}");
        }

        #[test]
        fn no_text_makes_loading_panic(file in ".{0,80}", value in ".{0,40}") {
            let names = sections::all().map(|setting| setting.env);
            let variables: Vec<(&str, &str)> = names.map(|name| (name, value.as_str())).collect();
            let _ = load(&file, &variables, &[]);
            let _ = load(&format!("[server]\nlisten = {value:?}\n{file}"), &[], &[]);
        }
    }
}
