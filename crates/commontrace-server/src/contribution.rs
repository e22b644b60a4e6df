//! From a request to contribute to the row that is stored and the answer that is given.

use commontrace_api::evidence::TraceEvidence;
use commontrace_api::traces::{ContributeTrace, Contributed};
use commontrace_core::fingerprint::fingerprint;
use commontrace_core::reputation::Standing;
use commontrace_core::trace::{TAGS_MAX, depth_score};
use commontrace_core::{Status, UserId};
use commontrace_store::{FIRST_REVISION, NewTrace};
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::ApiResult;
use crate::intake::{self, Redactor};
use crate::sessions::evidence::Offer;

/// A contribution that passed the gate.
#[derive(Debug)]
pub struct Prepared {
    /// The row to store.
    pub new: NewTrace,
    /// What to answer once it is stored.
    pub answer: Contributed,
}

impl Prepared {
    /// Gives it the verdict on the session that it was made of.
    pub fn carry(&mut self, offer: Offer) {
        let evidence = offer.to(&self.new.solution_text);
        let proof = evidence.counting();
        let standing = Standing {
            proof,
            ..Standing::default()
        };
        self.new.trust_score = standing.trust();
        self.new.evidence = Some(evidence);
        self.answer.evidence = Some(TraceEvidence {
            evidence: offer.evidence,
            counts: proof.is_some(),
            revision: FIRST_REVISION,
        });
    }
}

/// Redacts, normalises and checks a contribution of `contributor`'s.
pub async fn prepare(app: &App, contributor: UserId, body: ContributeTrace) -> ApiResult<Prepared> {
    intake::check_tag_count(&body.tags, TAGS_MAX)?;
    let id = app.ids.id();
    let size = body.context_text.len() + body.solution_text.len();
    let prepared = intake::scan(size, move || redact(id, contributor, body)).await?;
    let new = &prepared.new;
    intake::refuse_husk(&new.title, &new.context_text, &new.solution_text)?;
    Ok(prepared)
}

fn redact(id: commontrace_core::TraceId, contributor: UserId, body: ContributeTrace) -> Prepared {
    let mut redactor = Redactor::default();
    let tags = redactor.tags(&body.tags);
    let metadata = metadata(&mut redactor, &body);
    let context = body
        .context
        .map(|context| redactor.object("context", context.into_map()));
    let new = NewTrace {
        id,
        contributor_id: contributor,
        title: redactor.text("title", &body.title),
        context_text: redactor.text("context_text", &body.context_text),
        solution_text: redactor.text("solution_text", &body.solution_text),
        tags: tags.kept,
        context: context.as_ref().map(fingerprint).unwrap_or_default(),
        metadata_json: metadata.map(Value::Object),
        agent_model: redactor.optional("agent_model", body.agent_model.as_deref()),
        agent_version: redactor.optional("agent_version", body.agent_version.as_deref()),
        is_seed: false,
        status: Status::Pending,
        trust_score: 0.0,
        review_after: body.review_after.map(commontrace_api::Timestamp::utc),
        watch_condition: redactor.optional("watch_condition", body.watch_condition.as_deref()),
        supersedes: body.supersedes_trace_id,
        evidence: None,
        embed: Vec::new(),
    };
    let answer = Contributed {
        id,
        status: Status::Pending,
        message: "The trace is stored and can be found by its words; finding it by meaning follows within moments."
            .to_owned(),
        tags: new.tags.clone(),
        dropped_tags: tags.dropped,
        redactions: redactor.finish(),
        depth_score: depth_score(&new.context_text, &new.solution_text, !new.context.is_empty()),
        evidence: None,
    };
    Prepared { new, answer }
}

/// Joins the metadata object and the token count, which wins over a member of the same name.
fn metadata(redactor: &mut Redactor, body: &ContributeTrace) -> Option<Map<String, Value>> {
    let given = body
        .metadata_json
        .clone()
        .map(commontrace_api::Object::into_map);
    let mut metadata = given.map(|object| redactor.object("metadata_json", object));
    if let Some(tokens) = body.tokens_to_resolution {
        metadata
            .get_or_insert_default()
            .insert("tokens_to_resolution".to_owned(), tokens.value().into());
    }
    metadata
}
