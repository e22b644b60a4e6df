//! The BERT encoder: token ids in, unit-length sentence vectors out.
//!
//! Six layers, hidden size 384, twelve heads, erf-GELU, mean pooling. Texts of a batch are laid
//! end to end without padding: linear layers run over all tokens at once, attention per text.

use std::io;

use super::aligned::AlignedVec;
use super::checkpoint::{Checkpoint, CheckpointError};
use super::linear::{Linear, RoundedRows};
use super::simd::{self, Level, Panels, Rows};

/// Length of a sentence vector.
pub const DIMENSIONS: usize = 384;
/// Longest text in tokens, both markers included, as published with the model.
pub const MAX_TOKENS: usize = 256;

const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD: usize = DIMENSIONS / HEADS;
const INTERMEDIATE: usize = 1536;
/// Rows of the word table.
pub const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;
/// Queries, keys and values of one token lie side by side.
const QKV: usize = 3 * DIMENSIONS;

/// The weights, ready for the kernels.
#[derive(Debug)]
pub struct Encoder {
    level: Level,
    checkpoint: Checkpoint,
    /// Where the word table starts in the file.
    words: u64,
    /// Position vectors with the vector of segment 0 already added.
    positions: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct LayerNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    qkv: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    norm: LayerNorm,
}

/// Buffers of one forward pass, reusable for the next.
#[derive(Debug, Default)]
pub struct Scratch {
    hidden: AlignedVec<f32>,
    qkv: AlignedVec<f32>,
    context: AlignedVec<f32>,
    expanded: AlignedVec<f32>,
    keys: AlignedVec<f32>,
    scores: AlignedVec<f32>,
    rounded: RoundedRows,
}

impl Encoder {
    /// Reads and packs the weights.
    pub fn load(checkpoint: Checkpoint, level: Level) -> Result<Self, CheckpointError> {
        let words = checkpoint.locate(
            "embeddings.word_embeddings.weight",
            &[VOCABULARY, DIMENSIONS],
        )?;
        let mut positions = checkpoint.tensor(
            "embeddings.position_embeddings.weight",
            &[POSITIONS, DIMENSIONS],
        )?;
        positions.truncate(MAX_TOKENS * DIMENSIONS);
        let segments =
            checkpoint.tensor("embeddings.token_type_embeddings.weight", &[2, DIMENSIONS])?;
        for row in positions.chunks_exact_mut(DIMENSIONS) {
            add(row, &segments[..DIMENSIONS]);
        }
        let norm = LayerNorm::load(&checkpoint, "embeddings.LayerNorm")?;
        let layers = (0..LAYERS)
            .map(|i| Layer::load(&checkpoint, &format!("encoder.layer.{i}"), level))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            level,
            checkpoint,
            words,
            positions,
            norm,
            layers,
        })
    }

    /// Returns the unit-length vector of each text, given as at most [`MAX_TOKENS`] token ids.
    ///
    /// Fails only if the word table cannot be read any more.
    pub fn encode(&self, texts: &[&[u32]], scratch: &mut Scratch) -> io::Result<Vec<Vec<f32>>> {
        let tokens: usize = texts.iter().map(|ids| ids.len()).sum();
        scratch.reserve(tokens, texts.iter().map(|ids| ids.len()).max().unwrap_or(0));
        self.embed_tokens(texts, &mut scratch.hidden)?;
        for layer in &self.layers {
            self.attend(layer, texts, tokens, scratch);
            self.feed_forward(layer, tokens, scratch);
        }
        let mut hidden = &scratch.hidden[..];
        let pooled = texts.iter().map(|ids| {
            let (rows, rest) = hidden.split_at(ids.len() * DIMENSIONS);
            hidden = rest;
            mean_direction(rows)
        });
        Ok(pooled.collect())
    }

    /// Writes one normalised row per token: word, position and segment vectors added up.
    fn embed_tokens(&self, texts: &[&[u32]], hidden: &mut [f32]) -> io::Result<()> {
        let mut rows = hidden.chunks_exact_mut(DIMENSIONS);
        for ids in texts {
            for ((id, position), row) in ids
                .iter()
                .zip(self.positions.chunks_exact(DIMENSIONS))
                .zip(&mut rows)
            {
                let row_bytes = (DIMENSIONS * size_of::<f32>()) as u64;
                self.checkpoint
                    .read_values(self.words + u64::from(*id) * row_bytes, row)?;
                add(row, position);
                self.norm.apply(self.level, row);
            }
        }
        Ok(())
    }

    /// Self-attention with its residual connection.
    fn attend(&self, layer: &Layer, texts: &[&[u32]], tokens: usize, scratch: &mut Scratch) {
        let hidden = &mut scratch.hidden[..tokens * DIMENSIONS];
        let qkv = &mut scratch.qkv[..tokens * QKV];
        let context = &mut scratch.context[..tokens * DIMENSIONS];
        layer
            .qkv
            .apply(self.level, hidden, &mut scratch.rounded, qkv);
        context.fill(0.0);
        let mut first = 0;
        for ids in texts {
            let last = first + ids.len();
            let qkv = &qkv[first * QKV..last * QKV];
            let context = &mut context[first * DIMENSIONS..last * DIMENSIONS];
            for head in 0..HEADS {
                let (keys, scores) = (&mut scratch.keys, &mut scratch.scores);
                attend_head(self.level, qkv, head, keys, scores, context);
            }
            first = last;
        }
        layer
            .attention_out
            .apply_add(self.level, context, &mut scratch.rounded, hidden);
        layer.attention_norm.apply(self.level, hidden);
    }

    /// The two-layer network applied to each token, with its residual connection.
    fn feed_forward(&self, layer: &Layer, tokens: usize, scratch: &mut Scratch) {
        let hidden = &mut scratch.hidden[..tokens * DIMENSIONS];
        let expanded = &mut scratch.expanded[..tokens * INTERMEDIATE];
        layer
            .expand
            .apply(self.level, hidden, &mut scratch.rounded, expanded);
        simd::gelu(self.level, expanded);
        layer
            .contract
            .apply_add(self.level, expanded, &mut scratch.rounded, hidden);
        layer.norm.apply(self.level, hidden);
    }
}

/// Adds one head's attention over one text to its columns of `context`.
///
/// The factor `1 / sqrt(HEAD)` is already in the query weights.
fn attend_head(
    level: Level,
    qkv: &[f32],
    head: usize,
    keys: &mut [f32],
    scores: &mut [f32],
    context: &mut [f32],
) {
    let width = level.panel_width();
    let length = qkv.len() / QKV;
    let panels = length.div_ceil(width);
    let padded = panels * width;

    // Keys are packed as columns: panel by panel, one row per dimension of the head. Padding
    // columns keep old finite values; their scores are never read.
    let keys = &mut keys[..padded * HEAD];
    for (token, row) in qkv.chunks_exact(QKV).enumerate() {
        let key = &row[DIMENSIONS + head * HEAD..][..HEAD];
        let column = &mut keys[token / width * width * HEAD + token % width..];
        for (value, key) in column.iter_mut().step_by(width).zip(key) {
            *value = *key;
        }
    }
    let scores = &mut scores[..length * padded];
    scores.fill(0.0);
    let queries = Rows {
        values: &qkv[head * HEAD..],
        stride: QKV,
        rows: length,
    };
    let columns = Panels {
        values: keys,
        panel_stride: width * HEAD,
        row_stride: width,
        panels,
    };
    simd::add_product(level, queries, columns, HEAD, scores, padded);
    simd::softmax_rows(level, scores, padded, length);

    let weights = Rows {
        values: scores,
        stride: padded,
        rows: length,
    };
    let values = Panels {
        values: &qkv[2 * DIMENSIONS + head * HEAD..],
        panel_stride: width,
        row_stride: QKV,
        panels: HEAD / width,
    };
    simd::add_product(
        level,
        weights,
        values,
        length,
        &mut context[head * HEAD..],
        DIMENSIONS,
    );
}

impl Layer {
    fn load(checkpoint: &Checkpoint, name: &str, level: Level) -> Result<Self, CheckpointError> {
        let dense = |part: &str, inputs: usize, outputs: usize| {
            let weights =
                checkpoint.tensor(&format!("{name}.{part}.weight"), &[outputs, inputs])?;
            let bias = checkpoint.tensor(&format!("{name}.{part}.bias"), &[outputs])?;
            Ok::<_, CheckpointError>((weights, bias))
        };
        let linear = |part: &str, inputs: usize, outputs: usize| {
            let (weights, bias) = dense(part, inputs, outputs)?;
            Ok::<_, CheckpointError>(Linear::pack(level, &weights, bias))
        };
        let norm = |part: &str| LayerNorm::load(checkpoint, &format!("{name}.{part}"));

        let (mut weights, mut bias) = dense("attention.self.query", DIMENSIONS, DIMENSIONS)?;
        let scale = 1.0 / (HEAD as f32).sqrt();
        weights
            .iter_mut()
            .chain(&mut bias)
            .for_each(|value| *value *= scale);
        for part in ["attention.self.key", "attention.self.value"] {
            let (more_weights, more_bias) = dense(part, DIMENSIONS, DIMENSIONS)?;
            weights.extend(more_weights);
            bias.extend(more_bias);
        }
        Ok(Self {
            qkv: Linear::pack(level, &weights, bias),
            attention_out: linear("attention.output.dense", DIMENSIONS, DIMENSIONS)?,
            attention_norm: norm("attention.output.LayerNorm")?,
            expand: linear("intermediate.dense", DIMENSIONS, INTERMEDIATE)?,
            contract: linear("output.dense", INTERMEDIATE, DIMENSIONS)?,
            norm: norm("output.LayerNorm")?,
        })
    }
}

impl LayerNorm {
    fn load(checkpoint: &Checkpoint, name: &str) -> Result<Self, CheckpointError> {
        let scale = checkpoint.tensor(&format!("{name}.weight"), &[DIMENSIONS])?;
        let shift = checkpoint.tensor(&format!("{name}.bias"), &[DIMENSIONS])?;
        Ok(Self { scale, shift })
    }

    fn apply(&self, level: Level, rows: &mut [f32]) {
        simd::layer_norm(level, rows, &self.scale, &self.shift);
    }
}

impl Scratch {
    fn reserve(&mut self, tokens: usize, longest: usize) {
        // Padding to the widest panel of any level.
        let padded = longest.next_multiple_of(32);
        self.hidden.reserve(tokens * DIMENSIONS);
        self.qkv.reserve(tokens * QKV);
        self.context.reserve(tokens * DIMENSIONS);
        self.expanded.reserve(tokens * INTERMEDIATE);
        self.keys.reserve(padded * HEAD);
        self.scores.reserve(longest * padded);
        self.rounded.reserve(tokens * INTERMEDIATE);
    }
}

/// The mean of the rows, scaled to unit length.
fn mean_direction(rows: &[f32]) -> Vec<f32> {
    // Scaling makes dividing by the number of rows needless.
    let mut sum = vec![0.0; DIMENSIONS];
    for row in rows.chunks_exact(DIMENSIONS) {
        add(&mut sum, row);
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    // The smallest length the reference implementation divides by.
    let scale = 1.0 / length.max(1e-12);
    sum.iter_mut().for_each(|x| *x *= scale);
    sum
}

fn add(sum: &mut [f32], values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}
