//! The embedding model: whether it is there and does what the settings say.

use commontrace_search::embed::model_files;
use commontrace_server::error::chain;

use super::Finding::{self, Fine, Weak, Wrong};
use crate::config::{Config, Embedder};
use crate::start;

/// Embeds a query.
pub async fn embedding(config: &Config) -> Finding {
    if let Embedder::Local { model_dir } = config.embedding.embedder()
        && let Err(err) = model_files::verify(&model_dir)
    {
        let missing = matches!(err, model_files::ModelFilesError::Missing { .. });
        return if missing {
            Weak(chain(&err))
        } else {
            Wrong(chain(&err))
        };
    }
    let embedder = match start::embedder(config).await {
        Ok(Some(embedder)) => embedder,
        Ok(None) => {
            return Weak(
                "there is no model, searching goes by words alone; set EMBEDDING_PROVIDER=local and run `make model`"
                    .to_owned(),
            );
        }
        Err(failure) => return Wrong(failure.to_string()),
    };
    let model = embedder.model().clone();
    match embedder.embed_query("error: linker `cc` not found").await {
        Ok(vector) if vector.len() == model.dimensions => Fine(format!(
            "{} makes vectors of {} dimensions",
            model.id, model.dimensions
        )),
        Ok(vector) => Wrong(format!(
            "{} makes vectors of {} dimensions and EMBEDDING_DIMENSIONS says {}",
            model.id,
            vector.len(),
            model.dimensions
        )),
        Err(err) => Wrong(chain(&err)),
    }
}
