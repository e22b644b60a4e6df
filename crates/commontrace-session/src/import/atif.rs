//! ATIF, the trajectories of Harbor, 1.0 to 1.7.
//!
//! A step is a record. Steps that were copied from another document are left out: they are imported from
//! there. A document that another names as that of a sub-agent belongs to the other's session, and so does
//! one that is embedded in it. What our own export put under `extra` becomes what it was.

mod step;

use serde_json::Value;

use super::desk::{Desk, Identity};
use super::document::Document;
use super::found::SessionKey;
use super::json::{self, members};
use super::{Format, ImportError, seed};
use crate::{Actor, Event, Session};
use step::{Metrics, Observation, Observed, Step};

members!(
    /// A trajectory.
    Trajectory {
        version = "schema_version",
        session = "session_id",
        id = "trajectory_id",
        agent = "agent",
        steps = "steps",
        notes = "notes",
        metrics = "final_metrics",
        continued = "continued_trajectory_ref",
        embedded = "subagent_trajectories",
        extra = "extra",
    }
);

members!(
    /// The agent.
    Agent {
        name = "name",
        version = "version",
        model = "model_name",
        extra = "extra",
    }
);

members!(
    /// What our own export puts under `extra`.
    Ours {
        ours = "commontrace",
        parent = "parent_session_id",
    }
);

/// Reads a document.
pub(crate) fn read(document: &Document, desk: &mut Desk<'_>) -> Result<(), ImportError> {
    let Some(trajectory) = json::object::<Trajectory<'_>>(document.whole()) else {
        desk.report
            .bad(1, 0, "no object, or one with a member twice");
        return Ok(());
    };
    let id = json::said(trajectory.session)
        .or_else(|| json::said(trajectory.id))
        .map_or_else(|| document.hash(), Into::into);
    let agent: Agent<'_> = json::object(trajectory.agent).unwrap_or_default();
    let about: Ours<'_> = json::object(agent.extra).unwrap_or_default();
    let trajectory_id = json::said(trajectory.id);
    let parent = json::said(about.parent)
        .map(std::borrow::Cow::into_owned)
        .or_else(|| desk.set_to_work_by(trajectory_id.as_deref().unwrap_or(&id)));
    let (key, actor) = match parent {
        Some(parent) => {
            let agent = trajectory_id.map_or_else(|| id.clone(), std::borrow::Cow::into_owned);
            (key(Format::Atif, &parent), Actor::Subagent(agent))
        }
        None => (
            key(restored(&trajectory).unwrap_or(Format::Atif), &id),
            Actor::Agent,
        ),
    };
    if actor == Actor::Agent {
        header(desk, &key, &trajectory, &agent);
    }
    document.rest(desk, &key, &["steps", "subagent_trajectories"])?;
    self::steps(document, desk, &key, &actor, &trajectory)?;
    for embedded in json::objects::<Trajectory<'_>>(trajectory.embedded) {
        let id = json::said(embedded.id)
            .or_else(|| json::said(embedded.session))
            .unwrap_or_default();
        self::steps(
            document,
            desk,
            &key,
            &Actor::Subagent(id.into_owned()),
            &embedded,
        )?;
    }
    Ok(())
}

fn key(format: Format, id: &str) -> SessionKey {
    SessionKey {
        format: format.name(),
        id: id.into(),
    }
}

/// The session that our own export wrote, if this is one.
fn ours<'t>(trajectory: &Trajectory<'t>) -> Option<Value> {
    let extra: Ours<'t> = json::object(trajectory.extra)?;
    json::value(extra.ours)
}

/// The format that the session was first read from, if our own export wrote this.
fn restored(trajectory: &Trajectory<'_>) -> Option<Format> {
    let ours = ours(trajectory)?;
    Format::named(ours.get("session")?.get("format")?.as_str()?)
}

fn header(desk: &mut Desk<'_>, key: &SessionKey, trajectory: &Trajectory<'_>, agent: &Agent<'_>) {
    let ours = ours(trajectory);
    let session = ours
        .as_ref()
        .and_then(|ours| serde_json::from_value::<Session>(ours.get("session")?.clone()).ok());
    let header = desk.header(key);
    if let Some(session) = session {
        let source_id = header.source_id.take();
        *header = Session {
            source_id: session.source_id.clone().or(source_id),
            ..session
        };
        // A verdict that comes with a file is a claim.
        if let Some(verdict) = ours.and_then(|ours| ours.get("verdict").cloned()) {
            header
                .extra
                .insert("claimed_qa_results".to_owned(), verdict);
        }
        return;
    }
    header.tool_version = json::said(agent.version).map(Into::into);
    header.model = json::said(agent.model)
        .map(Into::into)
        .or(header.model.take());
    let members = [
        ("agent", agent.name),
        ("schema_version", trajectory.version),
        ("notes", trajectory.notes),
        ("continued_trajectory_ref", trajectory.continued),
    ];
    for (name, member) in members {
        if let Some(value) = json::value(member).filter(|value| !value.is_null()) {
            header.extra.entry(name.to_owned()).or_insert(value);
        }
    }
    let metrics: Metrics<'_> = json::object(trajectory.metrics).unwrap_or_default();
    if let Some(cost) = json::value(metrics.cost).filter(|cost| !cost.is_null()) {
        header.extra.insert("cost_usd".to_owned(), cost);
    }
    let state = desk.state(key);
    let kinds = [
        ("input_tokens", metrics.total_prompt),
        ("output_tokens", metrics.total_completion),
        ("cached_input_tokens", metrics.total_cached),
    ];
    for (kind, member) in kinds {
        if let Some(count) = json::int(member).and_then(|count| u64::try_from(count).ok()) {
            let known = state.usage.entry(kind).or_default();
            *known = count.max(*known);
        }
    }
}

fn steps(
    document: &Document,
    desk: &mut Desk<'_>,
    key: &SessionKey,
    actor: &Actor,
    trajectory: &Trajectory<'_>,
) -> Result<(), ImportError> {
    for raw in json::items(trajectory.steps) {
        let step: Step<'_> = json::object(Some(raw)).unwrap_or_default();
        if json::flag(step.copied) == Some(true) {
            desk.report
                .skip("context that was copied from another trajectory");
            continue;
        }
        let extra: Ours<'_> = json::object(step.extra).unwrap_or_default();
        if let Some(Value::Array(events)) = json::value(extra.ours)
            .as_ref()
            .and_then(|ours| ours.get("events"))
        {
            let events: Vec<Event> = events.iter().filter_map(|event| own(event, step)).collect();
            let first = events.first().map_or("", |event| &*event.id).to_owned();
            desk.derives = false;
            document.item(desk, key, Identity::of(&first), ("step", raw.get()), |_| {
                events
            })?;
            desk.derives = true;
            continue;
        }
        document.item(desk, key, Identity::Content, ("step", raw.get()), |desk| {
            step::events(desk, key, actor, step)
        })?;
    }
    Ok(())
}

/// An event of our own export: what the step has no member for, with the text that it has one for.
fn own(stored: &Value, step: Step<'_>) -> Option<Event> {
    let mut stored = stored.as_object()?.clone();
    let place = stored
        .remove("text_in")
        .and_then(|place| place.as_str().map(str::to_owned));
    if let Some(place) = place {
        let (member, field) = place.split_once(':')?;
        let text = match member {
            "message" => json::string(step.message),
            "reasoning_content" => json::string(step.reasoning),
            _ => {
                let number: usize = member.strip_prefix("observation/")?.parse().ok()?;
                let observation: Observation<'_> = json::object(step.observation)?;
                json::string(
                    json::objects::<Observed<'_>>(observation.results)
                        .get(number)?
                        .content,
                )
            }
        };
        let data = stored
            .entry("data")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        data.as_object_mut()?
            .insert(field.to_owned(), Value::from(text));
    }
    seed::event(Value::Object(stored))
}
