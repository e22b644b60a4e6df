//! opencode, whose plugin of ours passes on what happens in a form of our own.

use std::path::PathBuf;

use super::claude::{is_our, other};
use crate::event::{Ended, Event, Ignored, Ran, Stop, What};
use crate::fields::{Fields, command};

pub(super) fn read(name: &str, fields: Fields<'_>) -> Result<Event, Ignored> {
    let what = match name {
        "session.start" => What::Started,
        "tool.after" => used(fields)?,
        "session.idle" => What::Stopped(Stop {
            again: false,
            unattended: false,
        }),
        _ => return Err(Ignored::OfNoInterest),
    };
    // What the host hands to plugins, as it is.
    let input = fields.object(&["input"]).ok_or(Ignored::Malformed)?;
    let session = input.text(&["sessionID"]).ok_or(Ignored::Malformed)?;
    Ok(Event {
        session: session.to_owned(),
        cwd: fields.text(&["directory"]).map(PathBuf::from),
        call: input.text(&["callID"]).map(str::to_owned),
        name: name.to_owned(),
        what,
    })
}

fn used(fields: Fields<'_>) -> Result<What, Ignored> {
    let call = fields.object(&["input"]).ok_or(Ignored::Malformed)?;
    let tool = call.text(&["tool"]).ok_or(Ignored::Malformed)?;
    let input = call.object(&["args"]).ok_or(Ignored::Malformed)?;
    if tool == "bash" {
        let output = fields.object(&["output"]);
        let code = output.and_then(|output| output.object(&["metadata"])?.code(&["exit"]));
        return Ok(What::Ran(Ran {
            command: command(input).ok_or(Ignored::Malformed)?,
            ended: match code {
                Some(0) => Ended::Well,
                Some(code) => Ended::Badly(Some(code)),
                None => Ended::Unknown,
            },
            output: output
                .and_then(|output| output.text(&["output"]))
                .unwrap_or_default()
                .to_owned(),
        }));
    }
    if is_our(tool, "get_trace") {
        let id = input.text(&["trace_id"]).ok_or(Ignored::Malformed)?;
        return Ok(What::Read(id.to_owned()));
    }
    other(tool, input)
}
