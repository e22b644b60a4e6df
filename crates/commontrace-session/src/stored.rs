//! Events as they are kept: JSON without its large texts, which are kept apart, compressed and once.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};

use commontrace_core::hex;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Event;

/// Texts longer than this, in bytes, are kept apart.
const LARGE: usize = 8 * 1024;

/// Levels of lists and objects that are kept as such: fewer than the reader of JSON takes, whatever
/// they are put into.
const DEEPEST: usize = 96;

/// SHA-256 of a text.
pub type Hash = [u8; 32];

/// A text that is kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the text.
    pub hash: Hash,
    /// Length of the text, in bytes.
    pub size: usize,
    /// The text, compressed by zlib.
    pub content: Vec<u8>,
}

/// Texts to keep apart, each once.
#[derive(Debug, Default)]
pub struct Blobs(BTreeMap<Hash, Blob>);

impl Blobs {
    /// Adds a text and returns its hash.
    pub fn add(&mut self, text: &[u8]) -> Hash {
        let hash: Hash = Sha256::digest(text).into();
        self.0.entry(hash).or_insert_with(|| Blob {
            hash,
            size: text.len(),
            content: compress(text),
        });
        hash
    }

    /// Returns the texts, in the order of their hashes, so that two who store the same ones do not wait
    /// for each other crosswise.
    pub fn into_blobs(self) -> impl Iterator<Item = Blob> {
        self.0.into_values()
    }
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The event as JSON, with empty strings for its large texts.
    pub event: String,
    /// Where the large texts belong: pairs of a JSON pointer and a hash in hexadecimal digits, as JSON.
    pub large: Option<String>,
}

/// What is kept does not hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// Turns what is nested deeper than [`DEEPEST`] into texts, so that whatever is kept can be read again.
pub fn bound_depth(value: &mut Value) {
    bound(value, 0);
}

fn bound(value: &mut Value, depth: usize) {
    if depth == DEEPEST && (value.is_array() || value.is_object()) {
        *value = Value::String(value.to_string());
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| bound(item, depth + 1)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| bound(member, depth + 1)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes the large texts out of an event.
pub fn pack(event: &Event, blobs: &mut Blobs) -> Packed {
    let mut value = serde_json::to_value(event).expect("an event has only string keys");
    bound_depth(&mut value);
    let mut large: Vec<(String, String)> = Vec::new();
    take_large(&mut value, &mut String::new(), &mut |pointer, text| {
        large.push((pointer.to_owned(), hex::encode(&blobs.add(text.as_bytes()))));
    });
    Packed {
        event: value.to_string(),
        large: (!large.is_empty())
            .then(|| serde_json::to_string(&large).expect("pairs of strings are JSON")),
    }
}

/// Returns the hashes of the large texts of an event.
pub fn hashes(large: &str) -> Result<Vec<Hash>, Broken> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(large).map_err(|_| Broken("its list of large texts is unreadable"))?;
    let parsed = pairs.iter().map(|(_, hash)| hex::decode(hash));
    parsed
        .collect::<Option<_>>()
        .ok_or(Broken("its list of large texts has a wrong hash"))
}

/// Puts the large texts back into an event. `texts` has them by their hashes.
pub fn unpack(
    event: &str,
    large: Option<&str>,
    texts: &HashMap<Hash, String>,
) -> Result<Value, Broken> {
    let mut value: Value =
        serde_json::from_str(event).map_err(|_| Broken("it is no longer JSON"))?;
    let Some(large) = large else {
        return Ok(value);
    };
    let pairs: Vec<(String, String)> =
        serde_json::from_str(large).map_err(|_| Broken("its list of large texts is unreadable"))?;
    for (pointer, hash) in pairs {
        let text = hex::decode(&hash).and_then(|hash| texts.get(&hash));
        let place = value.pointer_mut(&pointer);
        match (place, text) {
            (Some(place), Some(text)) => *place = Value::String(text.clone()),
            _ => return Err(Broken("one of its large texts is missing")),
        }
    }
    Ok(value)
}

/// Takes large texts out, with the JSON pointer of each.
fn take_large(value: &mut Value, pointer: &mut String, take: &mut impl FnMut(&str, &str)) {
    let length = pointer.len();
    match value {
        Value::String(text) if text.len() > LARGE => {
            take(pointer, text);
            text.clear();
            text.shrink_to_fit();
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                pointer.push_str(&format!("/{index}"));
                take_large(item, pointer, take);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                take_large(member, pointer, take);
                pointer.truncate(length);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(text)
        .and_then(|()| encoder.finish())
        .expect("writing to memory cannot fail")
}

/// Returns a kept text of `size` bytes at most.
pub fn decompress(content: &[u8], size: u64) -> Result<Vec<u8>, Broken> {
    let mut text = Vec::new();
    ZlibDecoder::new(content)
        .take(size + 1)
        .read_to_end(&mut text)
        .map_err(|_| Broken("a large text is damaged"))?;
    if text.len() as u64 > size {
        return Err(Broken("a large text is longer than any may be"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Body;

    fn event(output: &str) -> Event {
        serde_json::from_value(json!({
            "id": "1", "timestamp": null, "event_type": "terminal_command",
            "data": {"command": "make", "output": output},
            "extra": {"a/b~c": [output, "short"]},
        }))
        .expect("an event")
    }

    #[test]
    fn large_texts_are_kept_once_and_come_back_whole() {
        let long = "0123456789".repeat(2000);
        let mut blobs = Blobs::default();
        let event = event(&long);
        let packed = pack(&event, &mut blobs);
        assert!(packed.event.len() < 500);
        let blobs: Vec<Blob> = blobs.into_blobs().collect();
        assert_eq!((blobs.len(), blobs[0].size), (1, 20_000));
        assert!(blobs[0].content.len() < 500);
        let large = packed.large.as_deref().expect("large texts");
        assert_eq!(hashes(large), Ok(vec![blobs[0].hash; 2]));
        let text = decompress(&blobs[0].content, 20_000).expect("a text");
        let texts = HashMap::from([(blobs[0].hash, String::from_utf8(text).expect("UTF-8"))]);
        let back = unpack(&packed.event, packed.large.as_deref(), &texts).expect("an event");
        assert_eq!(serde_json::from_value::<Event>(back).ok(), Some(event));
        assert!(unpack(&packed.event, packed.large.as_deref(), &HashMap::new()).is_err());
        assert!(decompress(&blobs[0].content, 19_999).is_err());
    }

    #[test]
    fn what_is_nested_deeply_can_be_read_again() {
        let mut deep = json!("end");
        for _ in 0..120 {
            deep = json!([deep]);
        }
        let mut event = event("short");
        event.extra.insert("z".to_owned(), deep);
        let packed = pack(&event, &mut Blobs::default());
        let back = unpack(&packed.event, None, &HashMap::new()).expect("an event");
        assert!(back.to_string().contains("end"));
        assert!(serde_json::from_value::<Event>(back).is_ok());
    }

    #[test]
    fn short_texts_stay_where_they_are() {
        let mut blobs = Blobs::default();
        let packed = pack(&event("short"), &mut blobs);
        assert_eq!(packed.large, None);
        assert!(blobs.into_blobs().next().is_none());
        let Body::TerminalCommand { output, .. } = serde_json::from_str::<Event>(&packed.event)
            .expect("an event")
            .body
        else {
            panic!("a command");
        };
        assert_eq!(output, "short");
    }
}
