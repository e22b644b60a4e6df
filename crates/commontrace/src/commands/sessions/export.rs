//! `commontrace sessions export`: a session in a format that others read.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use commontrace_server::sessions::EventReader;
use commontrace_server::sessions::exported;
use commontrace_server::sessions::present::Kept;
use commontrace_session::Session;
use commontrace_session::export::{Export, Format, Verdict};
use tempfile::NamedTempFile;

use super::Owner;
use super::events::{self, Cut, Events};
use crate::commands::say;
use crate::config::Config;
use crate::failure::Failure;
use crate::start;

/// What to export, as what and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session's id, as `sessions list` shows it
    id: String,
    /// What to write: `trace` is the JSON of POST /traces, `otlp` and `agent-trace` have parts of a session
    #[arg(long, default_value = Format::Trace.name(), value_parser = known_format())]
    format: Format,
    /// The file to write, which is there whole or not at all; without it, standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    owner: Owner,
}

fn known_format() -> impl clap::builder::TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name))
        .try_map(|name| Format::named(&name).ok_or("no such format"))
}

/// Exports.
pub async fn run(config: Config, args: Args) -> Result<(), Failure> {
    let store = start::store(&config).await?;
    let user = args.owner.account(&store).await?;
    let row = events::find(&store, user, &args.id).await?;
    let kept = Kept::parse(&row.header).map_err(events::failure)?;
    let verdict = row.verdict.as_deref().map(exported::verdict).transpose();
    let exported = Exported {
        id: row.id,
        session: kept.session,
        verdict: verdict.map_err(events::failure)?,
        format: args.format,
    };
    let reader = EventReader::in_time(store.clone(), row.key, row.last_seq);
    let output = args.output;
    let written = events::take(reader, move |events| match output {
        Some(path) => exported.write_file(&path, events),
        None => exported.write_stdout(events),
    });
    written.await??;
    store.close().await;
    Ok(())
}

/// A session on its way out.
struct Exported {
    id: String,
    session: Session,
    verdict: Option<Verdict>,
    format: Format,
}

impl Exported {
    fn write(&self, events: Events, out: impl Write) -> io::Result<()> {
        let export = Export {
            id: &self.id,
            session: &self.session,
            verdict: self.verdict.as_ref(),
            url: None,
        };
        let mut out = Whole {
            cut: events.cut(),
            out: BufWriter::new(out),
        };
        export.write(self.format, events, &mut out)?;
        out.flush()
    }

    fn write_stdout(&self, events: Events) -> Result<(), Failure> {
        match self.write(events, io::stdout().lock()) {
            // A reader that has seen enough is not an error.
            Err(err) if err.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("cannot write the session: {err}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes beside the file and puts it in its place when it is whole.
    fn write_file(&self, path: &Path, events: Events) -> Result<(), Failure> {
        let failed = |err: io::Error| {
            Failure::new(format!("cannot write {}: {err}", path.display()))
                .hint("choose a file in a folder that is there and that this user may write")
        };
        // A link stays one: what it leads to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if target.exists() && !target.is_file() {
            return Err(Failure::new(format!("{} is no file", path.display()))
                .hint("without --output the session goes to standard output"));
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut draft = NamedTempFile::new_in(folder).map_err(failed)?;
        self.write(events, draft.as_file_mut()).map_err(failed)?;
        draft.as_file().sync_all().map_err(failed)?;
        draft
            .persist(&target)
            .map_err(|unplaced| failed(unplaced.error))?;
        say(format_args!("wrote {}", path.display()));
        Ok(())
    }
}

/// Writes on only as long as no event is missing: what ends early must not look whole.
struct Whole<W: Write> {
    cut: Cut,
    out: BufWriter<W>,
}

impl<W: Write> Whole<W> {
    fn check(&self) -> io::Result<()> {
        if self.cut.is_cut() {
            return Err(io::Error::other("the session could not be read to its end"));
        }
        Ok(())
    }
}

impl<W: Write> Write for Whole<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.out.flush()
    }
}
