//! The dependencies of a state: taken over from an earlier one, or made now.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use super::{Executor, Stop, anywhere, fresh, io};
use crate::git::TreeId;
use crate::plan::environment;
use crate::progress::Progress;
use crate::reason::Reason;
use crate::runner::{End, Folders, Job};
use crate::setup::{self, Place, Recipe};
use crate::verdict::{Side, end_word};

/// Dependencies that are there.
pub(super) struct SetUp {
    pub(super) dependencies: PathBuf,
    pub(super) recipe: Recipe,
    pub(super) key: String,
    /// Keeps it from being removed meanwhile.
    pub(super) _place: Option<Place>,
}

impl Executor<'_> {
    /// Dependencies of a state: those of an earlier state with the same manifests, or of an earlier
    /// verification of the same tree, or made now.
    pub(super) async fn set_up(&self, side: Side, tree: &TreeId) -> Result<SetUp, Stop> {
        let request = self.request;
        let at = self.folders(side, PathBuf::new()).tree;
        self.repository.export(tree, &at).await?;
        let recipe_for =
            |inside: &Folders| setup::recipe(&request.setup, &at, inside, request.setup_network);
        let identity = self.runner().identity().await;
        let kind = setup::kind(
            &recipe_for(&anywhere()),
            &at,
            &identity,
            request.setup_network,
        );
        let own = tree.to_string();
        let made_in = {
            let mut set_ups = self.set_ups.lock().unwrap_or_else(PoisonError::into_inner);
            let made_in = set_ups.entry(kind.clone()).or_insert_with(|| own.clone());
            made_in.clone()
        };
        let mut key = setup::key(&kind, &made_in);
        if recipe_for(&anywhere()).command.is_empty() {
            let dependencies = self.work.join("dependencies");
            std::fs::create_dir_all(&dependencies).map_err(|e| io("make", &dependencies, &e))?;
            let inside = self
                .runner()
                .inside(&self.folders(side, dependencies.clone()));
            let recipe = recipe_for(&inside);
            return Ok(SetUp {
                dependencies,
                recipe,
                key,
                _place: None,
            });
        }
        let mut place = self.lock(&key).await?;
        if !place.is_done() && made_in != own {
            // It was removed meanwhile, and is kept by a tree that is not here any more.
            key = setup::key(&kind, &own);
            place = self.lock(&key).await?;
        }
        let dependencies = self.context.folder.join("dependencies").join(&key);
        let folders = self.folders(side, dependencies.clone());
        let inside = self.runner().inside(&folders);
        let recipe = recipe_for(&inside);
        if !place.is_done() {
            (self.context.progress)(Progress::SettingUp { side });
            self.carry_out(&place, &recipe, &folders, &inside).await?;
        }
        Ok(SetUp {
            dependencies,
            recipe,
            key,
            _place: Some(place),
        })
    }

    /// Runs a set-up and keeps what it brought in.
    async fn carry_out(
        &self,
        place: &Place,
        recipe: &Recipe,
        folders: &Folders,
        inside: &Folders,
    ) -> Result<(), Stop> {
        place
            .begin()
            .map_err(|error| io("make", &place.folder, &error))?;
        let before = setup::paths(&folders.tree).map_err(|e| io("read", &folders.tree, &e))?;
        fresh(&folders.reports)?;
        std::fs::create_dir_all(&folders.scratch).map_err(|e| io("make", &folders.scratch, &e))?;
        let mut env = environment(inside);
        env.extend(recipe.env.iter().cloned());
        let job = Job {
            command: &recipe.command,
            folders,
            env: &env,
            setup: true,
            network: self.request.setup_network,
            limits: &self.request.setup_limits,
            log: &self.work.join("setup.log"),
        };
        let finished = self.runner().run(&job, &self.context.cancel).await?;
        let reason = match finished.end {
            End::Exited(0) => {
                return setup::keep_added(&folders.tree, &before, &place.folder)
                    .and_then(|()| place.done())
                    .map_err(|error| io("keep", &place.folder, &error));
            }
            End::TimedOut => Reason::TimeoutSetup,
            End::Exited(126 | 127) => Reason::ToolMissing,
            end => Reason::of_limit(end).unwrap_or(Reason::DependencyFailed),
        };
        let tail = if finished.tail.is_empty() {
            &finished.head
        } else {
            &finished.tail
        };
        let tail = String::from_utf8_lossy(tail);
        let last = tail
            .lines()
            .map(str::trim)
            .rfind(|line| !line.is_empty())
            .unwrap_or_default();
        let last = crate::report::prefix(last, 300);
        let message = format!("`{}` {}: {last}", recipe.command, in_words(finished.end));
        Err(Stop { reason, message })
    }

    async fn lock(&self, key: &str) -> Result<Place, Stop> {
        let cache = self.context.folder.join("dependencies");
        loop {
            let place = Place::try_lock(&cache, key).map_err(|error| io("lock", &cache, &error))?;
            if let Some(place) = place {
                return Ok(place);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
                () = self.context.cancel.cancelled() => {
                    return Err(Stop { reason: Reason::Cancelled, message: "it was cancelled".into() });
                }
            }
        }
    }
}

fn in_words(end: End) -> String {
    match end {
        End::Exited(code) => format!("ended with exit code {code}"),
        other => format!("ended: {}", end_word(other).replace('_', " ")),
    }
}
