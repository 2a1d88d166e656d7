//! Server-sent events out of a byte stream (WHATWG HTML, "server-sent events", parsing).

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// `message` where the stream names none.
    pub(crate) name: String,
    pub(crate) data: String,
    /// The last id that was seen so far.
    pub(crate) id: Option<String>,
}

/// Takes bytes as they come, however they are cut.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    pending: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    id: Option<String>,
}

impl Parser {
    /// The events that are complete with these bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.pending.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut taken = 0;
        while let Some(length) = self.pending[taken..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.pending[taken..taken + length]).into_owned();
            taken += length + 1;
            events.extend(self.line(line.strip_suffix('\r').unwrap_or(&line)));
        }
        self.pending.drain(..taken);
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment, a field that is not known, `retry`.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(Event { name, data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": ping\n\nevent: log\nid: 1:5\ndata: {\"text\":\"ä\"}\n\nid: 1:6\n\r\n\
                          data: a\ndata: b\nunknown: x\n\nevent: end\ndata\n\ndata: unfinished";

    fn event(name: &str, data: &str, id: &str) -> Event {
        Event { name: name.into(), data: data.into(), id: Some(id.into()) }
    }

    #[test]
    fn reads_the_same_events_however_the_bytes_are_cut() {
        let expected = [
            event("log", "{\"text\":\"ä\"}", "1:5"),
            event("message", "a\nb", "1:6"),
            event("end", "", "1:6"),
        ];
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let events: Vec<_> =
                STREAM.as_bytes().chunks(size).flat_map(|bytes| parser.take(bytes)).collect();
            assert_eq!(events, expected, "cut into pieces of {size}");
        }
    }
}
