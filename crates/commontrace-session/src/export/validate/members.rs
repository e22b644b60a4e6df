//! The members that each object may have.

/// The members of an object: each name with the minor version that brought it.
pub(super) type Members = &'static [(&'static str, u32)];

pub(super) const TRAJECTORY: Members = &[
    ("schema_version", 0),
    ("session_id", 0),
    ("trajectory_id", 7),
    ("agent", 0),
    ("steps", 0),
    ("notes", 0),
    ("final_metrics", 0),
    ("continued_trajectory_ref", 0),
    ("subagent_trajectories", 7),
    ("extra", 1),
];
pub(super) const AGENT: Members = &[
    ("name", 0),
    ("version", 0),
    ("model_name", 0),
    ("tool_definitions", 5),
    ("extra", 0),
];
pub(super) const STEP: Members = &[
    ("step_id", 0),
    ("source", 0),
    ("message", 0),
    ("timestamp", 0),
    ("observation", 0),
    ("is_copied_context", 5),
    ("llm_call_count", 7),
    ("extra", 0),
    ("model_name", 0),
    ("reasoning_effort", 0),
    ("reasoning_content", 0),
    ("tool_calls", 0),
    ("metrics", 0),
];
pub(super) const CALL: Members = &[
    ("tool_call_id", 0),
    ("function_name", 0),
    ("arguments", 0),
    ("extra", 7),
];
pub(super) const RESULT: Members = &[
    ("source_call_id", 0),
    ("content", 0),
    ("subagent_trajectory_ref", 0),
    ("extra", 7),
];
pub(super) const REF: Members = &[
    ("trajectory_id", 7),
    ("trajectory_path", 0),
    ("session_id", 0),
    ("extra", 0),
];
pub(super) const METRICS: Members = &[
    ("prompt_tokens", 0),
    ("completion_tokens", 0),
    ("cached_tokens", 0),
    ("cost_usd", 0),
    ("logprobs", 0),
    ("completion_token_ids", 3),
    ("prompt_token_ids", 4),
    ("extra", 0),
];
pub(super) const FINAL: Members = &[
    ("total_prompt_tokens", 0),
    ("total_completion_tokens", 0),
    ("total_cached_tokens", 0),
    ("total_cost_usd", 0),
    ("total_steps", 0),
    ("extra", 0),
];

/// Members that only a step of the agent may have.
pub(super) const AGENT_ONLY: &[&str] = &[
    "model_name",
    "reasoning_effort",
    "reasoning_content",
    "tool_calls",
    "metrics",
];
