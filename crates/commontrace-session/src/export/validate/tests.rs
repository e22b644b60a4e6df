use serde_json::json;

use super::*;

fn check(document: &Value, expected: &[&str]) {
    let found: Vec<String> = validate_atif(document)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found, expected, "{document}");
}

#[test]
fn violations_have_their_place_and_version() {
    let agent = json!({"name": "a", "version": "1"});
    let good = json!({"schema_version": "ATIF-v1.7", "agent": agent, "steps": [{"step_id": 1, "source": "user", "message": "x"}]});
    check(&good, &[]);
    let mut old = good.clone();
    old["schema_version"] = json!("ATIF-v1.4");
    old["steps"][0]["llm_call_count"] = json!(1);
    check(
        &old,
        &[
            "session_id: is required (ATIF 1.4)",
            "steps[0].llm_call_count: is there since version 1.7 only (ATIF 1.4)",
        ],
    );
    let mut bad = good.clone();
    bad["steps"] = json!([
        {"step_id": 2, "source": "agent", "message": "", "tool_calls": [{"tool_call_id": "c", "function_name": "f", "arguments": "x"}],
         "observation": {"results": [{"source_call_id": "d", "subagent_trajectory_ref": [{"trajectory_id": "t"}]}]}},
        {"step_id": 2, "source": "user", "message": [{"type": "image", "text": "x"}], "metrics": {}, "surprise": 1},
    ]);
    check(
        &bad,
        &[
            "steps[0].step_id: must be 1: steps are numbered without gaps (ATIF 1.7)",
            "steps[0].tool_calls[0].arguments: must be an object (ATIF 1.7)",
            "steps[0].observation.results[0].source_call_id: must be the tool_call_id of a call of the same step (ATIF 1.7)",
            "steps[0].observation.results[0].subagent_trajectory_ref[0].trajectory_id: must be that of an embedded trajectory (ATIF 1.7)",
            "steps[1].surprise: is no member that this object has (ATIF 1.7)",
            "steps[1].message[0].text: cannot be in a part with an image (ATIF 1.7)",
            "steps[1].message[0].source: is required (ATIF 1.7)",
            "steps[1].metrics: is for steps of the agent only (ATIF 1.7)",
        ],
    );
    check(&json!([]), &["$: must be an object (ATIF 1.7)"]);
}
