//! The few fields of OTLP by which one sees how steps hang together. Their numbers are those of opentelemetry-proto's
//! `trace_service.proto`, `trace.proto`, `resource.proto` and `common.proto`.

use std::fmt::Write;

/// A step of a trace, as its process sent it. Ids are hexadecimal, that of the parent empty if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Whose it is.
    pub(super) service: String,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
}

/// The spans of one request of an exporter.
pub(super) fn spans(request: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for batch in all(request, 1) {
        let mut attributes = all(batch, 1).flat_map(|resource| all(resource, 1));
        let service = attributes.find(|attribute| text(attribute, 1) == "service.name").map(value).unwrap_or_default();
        found.extend(all(batch, 2).flat_map(|scope| all(scope, 2)).map(|span| Span {
            service: service.clone(),
            trace: hex(first(span, 1)),
            id: hex(first(span, 2)),
            parent: hex(first(span, 4)),
            name: text(span, 5),
        }));
    }
    found
}

/// An attribute's value, if it is a text.
fn value(attribute: &[u8]) -> String {
    text(first(attribute, 2), 1)
}

fn text(message: &[u8], number: u64) -> String {
    String::from_utf8_lossy(first(message, number)).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn first(message: &[u8], number: u64) -> &[u8] {
    all(message, number).next().unwrap_or_default()
}

/// The values of the fields with this number that are messages, texts or bytes.
fn all(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    let fields = std::iter::from_fn(move || {
        let (number, value, after) = field(rest)?;
        rest = after;
        Some((number, value))
    });
    fields.filter(move |(found, _)| *found == number).filter_map(|(_, value)| value)
}

/// A field's number, its value if that is of a known length, and what follows.
type Field<'m> = (u64, Option<&'m [u8]>, &'m [u8]);

/// A message's first field.
fn field(message: &[u8]) -> Option<Field<'_>> {
    let (tag, rest) = varint(message)?;
    let (value, rest) = match tag & 7 {
        0 => (None, varint(rest)?.1),
        1 => (None, rest.get(8..)?),
        2 => {
            let (length, rest) = varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Some(value), rest)
        }
        5 => (None, rest.get(4..)?),
        _ => return None,
    };
    Some((tag >> 3, value, rest))
}

fn varint(message: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in message.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &message[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that holds bytes.
    fn held(number: u8, bytes: &[u8]) -> Vec<u8> {
        let head = [(number << 3) | 2, u8::try_from(bytes.len()).unwrap()];
        [&head[..], bytes].concat()
    }

    #[test]
    fn a_span_is_read_with_its_process_whatever_stands_between() {
        let name = [held(1, b"service.name"), held(2, &held(1, b"watari-scheduler"))].concat();
        let other = [held(1, b"service.version"), held(2, &held(1, b"0.1.0"))].concat();
        let resource = [held(1, &other), held(1, &name)].concat();
        // A number, a time, and a flag of four bytes are passed over.
        let number: [u8; 3] = [6 << 3, 0x96, 1];
        let time: [u8; 9] = [(7 << 3) | 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let flags: [u8; 6] = [0x85, 1, 0, 0, 0, 0];
        let between = [&number[..], &time, &flags].concat();
        let span = [held(1, &[0xab; 16]), held(2, &[1; 8]), held(4, &[2; 8]), between, held(5, b"send")];
        let scope = [held(1, b""), held(2, &span.concat())].concat();
        let request = held(1, &[held(1, &resource), held(2, &scope)].concat());
        let (service, name) = ("watari-scheduler".to_owned(), "send".to_owned());
        let (trace, id, parent) = ("ab".repeat(16), "01".repeat(8), "02".repeat(8));
        assert_eq!(spans(&request), [Span { service, trace, id, parent, name }]);
    }

    #[test]
    fn what_is_cut_off_or_no_message_at_all_ends_the_reading() {
        for bytes in
            [&b""[..], b"\x0a", b"\x0a\x7fab", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0c", b"\x09\x00"]
        {
            assert!(spans(bytes).is_empty(), "{bytes:?}");
        }
    }
}
