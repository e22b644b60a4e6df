//! The table of MCP servers in Codex's `config.toml`, changed with comments and order kept.

use std::path::Path;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

use super::wiring::{NAME, is_own_program};

const SERVERS: &str = "mcp_servers";

/// Puts our server into the table, whichever way the table is written.
pub fn put(text: &str, program: &str) -> Result<String, String> {
    let mut document = parse(text)?;
    let expected = {
        let mut expected = values(text)?;
        let servers = table_in(&mut expected, SERVERS)?;
        let ours = table_in(servers, NAME)?;
        refuse_another(ours)?;
        ours.insert("command".to_owned(), program.into());
        ours.insert("args".to_owned(), toml::Value::Array(vec!["mcp".into()]));
        expected
    };
    if expected == values(text)? {
        return Ok(text.to_owned());
    }
    let servers = document
        .entry(SERVERS)
        .or_insert_with(|| Item::Table(implicit()));
    let inside_a_line = match &*servers {
        Item::Table(table) => table.is_dotted(),
        _ => true,
    };
    let servers = servers
        .as_table_like_mut()
        .ok_or("its mcp_servers is not a table")?;
    match servers.get_mut(NAME).and_then(Item::as_table_like_mut) {
        Some(ours) => fill(ours, program),
        None if inside_a_line => {
            let mut ours = InlineTable::new();
            fill(&mut ours, program);
            servers.insert(NAME, value(ours));
        }
        None => {
            let mut ours = Table::new();
            fill(&mut ours, program);
            servers.insert(NAME, Item::Table(ours));
        }
    }
    checked(text, &document, &expected)
}

/// Takes our server out again.
pub fn take(text: &str) -> Result<String, String> {
    let mut document = parse(text)?;
    let mut expected = values(text)?;
    let Some(toml::Value::Table(servers)) = expected.get_mut(SERVERS) else {
        return Ok(text.to_owned());
    };
    match servers.get(NAME) {
        Some(toml::Value::Table(ours)) if refuse_another(ours).is_ok() => servers.remove(NAME),
        _ => return Ok(text.to_owned()),
    };
    if servers.is_empty() {
        expected.remove(SERVERS);
    }
    let servers = document.get_mut(SERVERS).and_then(Item::as_table_like_mut);
    let servers = servers.ok_or("its mcp_servers is not a table")?;
    servers.remove(NAME);
    if servers.is_empty() {
        document.remove(SERVERS);
    }
    checked(text, &document, &expected)
}

fn fill(ours: &mut dyn TableLike, program: &str) {
    let args: Array = ["mcp"].into_iter().collect();
    ours.insert("command", value(program));
    ours.insert("args", value(Value::Array(args)));
}

fn implicit() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

fn parse(text: &str) -> Result<DocumentMut, String> {
    text.parse()
        .map_err(|err: toml_edit::TomlError| not_toml(err.message(), err.span(), text))
}

/// The same by another reader, which what is written is held against.
fn values(text: &str) -> Result<toml::Table, String> {
    text.parse()
        .map_err(|err: toml::de::Error| not_toml(err.message(), err.span(), text))
}

fn not_toml(message: &str, span: Option<std::ops::Range<usize>>, text: &str) -> String {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or("");
    let line = 1 + before.matches('\n').count();
    format!("is not valid TOML: {message} on line {line}")
}

fn table_in<'a>(table: &'a mut toml::Table, name: &str) -> Result<&'a mut toml::Table, String> {
    table
        .entry(name)
        .or_insert_with(|| toml::Table::new().into())
        .as_table_mut()
        .ok_or_else(|| format!("its {name} is not a table"))
}

/// What has no command yet, or one of ours, is ours.
fn refuse_another(ours: &toml::Table) -> Result<(), String> {
    let is_own = match ours.get("command").and_then(toml::Value::as_str) {
        Some(command) => is_own_program(Path::new(command)),
        None => !ours.contains_key("url"),
    };
    is_own.then_some(()).ok_or_else(|| {
        format!("has another server named {NAME}: take it out first, then run this again")
    })
}

fn checked(before: &str, document: &DocumentMut, expected: &toml::Table) -> Result<String, String> {
    let mut text = document.to_string();
    // The document keeps everything but this.
    let is_crlf = before.contains("\r\n") && !before.replace("\r\n", "").contains('\n');
    if is_crlf {
        text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if values(&text).as_ref() == Ok(expected) {
        Ok(text)
    } else {
        Err("is written in a way that cannot be changed safely".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "/home/ada/.local/bin/commontrace";

    #[track_caller]
    fn check(text: &str) {
        let with = put(text, PROGRAM).unwrap_or_else(|err| panic!("{err}: {text}"));
        let read: toml::Table = with.parse().unwrap_or_else(|err| panic!("{err}: {with}"));
        assert_eq!(
            read["mcp_servers"]["commontrace"]["command"].as_str(),
            Some(PROGRAM),
            "{with}"
        );
        assert_eq!(put(&with, PROGRAM).as_ref(), Ok(&with), "{text}");
        let lines = with.matches('\n').count();
        let crlf = if text.contains('\r') { lines } else { 0 };
        assert_eq!(with.matches("\r\n").count(), crlf, "{with:?}");
        let without = take(&with).unwrap_or_else(|err| panic!("{err}: {with}"));
        let comments = |text: &str| text.matches('#').count();
        assert_eq!(comments(&without), comments(text), "{without}");
        assert_eq!(without.trim_end(), text.trim_end());
    }

    #[test]
    fn the_table_may_be_written_in_any_way() {
        check("");
        check("# mine\nmodel = \"o\"\n");
        check(
            "model = \"o\"\n\n[mcp_servers.other] # theirs\ncommand = \"x\"\n\n[tui]\nlook = 1\n",
        );
        check("mcp_servers = { other = { command = \"x\" } } # in a line\n[tui]\nlook = 1\n");
        check("mcp_servers.other = { command = \"x\" } # dotted\n[tui]\nlook = 1\n");
        check("mcp_servers.other.command = \"x\"\n");
        check("# mine\r\n[mcp_servers.other]\r\ncommand = \"x\"\r\n");
        check("[mcp_servers]\nother = { command = \"x\" }\n\n[[hooks.Stop]]\nhooks = []\n");
    }

    #[test]
    fn what_the_user_added_to_our_entry_stays() {
        let text = "[mcp_servers.commontrace]\ncommand = \"/old/commontrace\" # where it was\nstartup_timeout_sec = 20\n";
        let with = put(text, PROGRAM).unwrap();
        assert!(with.contains("startup_timeout_sec = 20"), "{with}");
        assert!(with.contains(PROGRAM) && !with.contains("/old/"), "{with}");
    }

    #[test]
    fn malformed_text_and_the_servers_of_others_are_refused() {
        for (text, why) in [
            ("model = \n", "is not valid TOML"),
            ("mcp_servers = 1\n", "is not a table"),
            (
                "[mcp_servers.commontrace]\nurl = \"https://x\"\n",
                "another server",
            ),
            (
                "[mcp_servers.commontrace]\ncommand = \"python\"\n",
                "another server",
            ),
        ] {
            let err = put(text, PROGRAM).expect_err(text);
            assert!(err.contains(why), "{err}");
        }
        let theirs = "[mcp_servers.commontrace]\ncommand = \"python\"\n";
        assert_eq!(take(theirs).as_deref(), Ok(theirs));
    }
}
