//! Nothing is published that its author has not seen as it will be published, and agreed to.

use std::process::Command;

use super::terminal;
use crate::commons::{files, remote};
use crate::config::{Config, Environment, Publish};
use crate::failure::Failure;

/// Refuses what the settings forbid, before anybody writes anything.
pub fn allowed(config: &Config, yes: bool) -> Result<(), Failure> {
    if config.remote.publish == Publish::Never {
        return Err(Failure::new("the settings say publish = \"never\"")
            .code(Failure::HELD_BACK)
            .hint("`--private` keeps a trace on this machine; publish = \"ask\" under [remote] in the settings file asks"));
    }
    if yes && config.remote.publish != Publish::Always {
        return Err(Failure::new("--yes agrees only where the settings say publish = \"always\"")
            .code(2)
            .hint("without --yes you are asked; publish = \"always\" stands under [remote] in the settings file"));
    }
    Ok(())
}

/// Asks the person at the terminal, after the text was shown.
pub fn agreed(question: &str) -> Result<(), Failure> {
    match terminal::ask(&format!("{question} [y/N]")).as_deref() {
        Some("y" | "yes") => Ok(()),
        Some(_) => Err(Failure::new("not published: you did not agree").code(Failure::HELD_BACK)),
        None => Err(Failure::new("not published: there is no terminal to ask on")
            .code(Failure::HELD_BACK)
            .hint("run it in a terminal; --dry-run shows what would be published, --private keeps it on this machine")),
    }
}

/// Lets the user write a text in their editor, beginning with this one. What is written is kept in a file of
/// the data directory until [`Written::done`].
pub fn edit(config: &Config, env: &Environment, text: &str) -> Result<Written, Failure> {
    let folder = config.storage.data_dir.join("drafts");
    let name = format!("{}.txt", remote::now().format("%Y%m%d-%H%M%S-%6f"));
    let path = folder.join(name);
    files::create_dir(&folder)
        .and_then(|()| files::create(&path, text.as_bytes(), false))
        .map_err(|err| Failure::new(format!("cannot write {}: {err}", path.display())))?;
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| env.get(*name).filter(|editor| !editor.trim().is_empty()))
        .map_or("vi", String::as_str);
    // An editor may be given with arguments, as `code --wait`.
    let ran = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(&path)
        .status();
    let failed = |why: String| {
        let failure = Failure::new(format!("the editor `{editor}` {why}"));
        // An editor that fails may have saved before.
        if std::fs::read(&path).is_ok_and(|now| now != text.as_bytes()) {
            return failure.hint(format!("what was written is kept in {}", path.display()));
        }
        let _ = std::fs::remove_file(&path);
        failure.hint("choose another with the variable VISUAL or EDITOR")
    };
    match ran {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(failed(format!("ended with {status}"))),
        Err(err) => return Err(failed(format!("cannot be started: {err}"))),
    }
    let text = std::fs::read_to_string(&path).map_err(|err| Failure::unreadable(&path, &err))?;
    Ok(Written { text, path })
}

/// What was written in an editor.
#[derive(Debug)]
pub struct Written {
    pub text: String,
    path: std::path::PathBuf,
}

impl Written {
    /// Removes the file.
    pub fn done(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    /// Says where the text is, for what went wrong after it was written, and the command that takes it.
    pub fn kept(&self, failure: Failure, command: &str) -> Failure {
        failure.hint(format!(
            "your text is kept: `commontrace {command} {}` goes on with it",
            self.path.display()
        ))
    }
}
