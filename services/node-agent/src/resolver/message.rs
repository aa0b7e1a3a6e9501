//! Messages of DNS (RFC 1035, section 4), as far as they are understood here: one question, and answers that are addresses
//! or that there is none. Pure.

use std::net::IpAddr;

/// Bytes before the question.
const HEADER: usize = 12;
/// A longer label is a pointer, of which a question has none.
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;
/// Kinds of records: an IPv4 address, an IPv6 address (RFC 3596), and whatever there is.
const A: u16 = 1;
const AAAA: u16 = 28;
const ANY: u16 = 255;
/// Of the third byte: that it is an answer; what is wanted (0 is a question); that others may be asked.
const ANSWER: u8 = 0x80;
const OPERATION: u8 = 0x78;
const RECURSION: u8 = 0x01;
/// Of the fourth: that others are asked.
const RECURSES: u8 = 0x80;
/// The question's name, by a pointer to it, and the class *internet*.
const SAME_NAME: [u8; 2] = [0xc0, 12];
const INTERNET: [u8; 2] = [0, 1];
/// For how long an answer may be kept, in seconds: a deleted server's name is soon another's.
const KEPT_S: u32 = 30;

/// Why there is no answer (RFC 1035, section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody could be asked.
    Broken,
    /// Nothing has that name.
    NoSuchName,
}

impl Failure {
    fn code(self) -> u8 {
        match self {
            Self::Broken => 2,
            Self::NoSuchName => 3,
        }
    }
}

/// A question.
pub(super) struct Question<'a> {
    message: &'a [u8],
    name: String,
    kind: u16,
    /// Where the question ends in the message.
    end: usize,
}

impl<'a> Question<'a> {
    /// None if the message is not one question.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let is_question = message.get(2)? & (ANSWER | OPERATION) == 0 && message.get(4..6)? == [0, 1];
        let (name, end) = name(message)?;
        let kind: [u8; 2] = message.get(end..end + 2)?.try_into().ok()?;
        // After its kind its class.
        let end = end + 4;
        (is_question && message.len() >= end).then(|| Self { message, name, kind: u16::from_be_bytes(kind), end })
    }

    /// The name, in lower case and without a dot at its end.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All of the message.
    pub(super) fn message(&self) -> &[u8] {
        self.message
    }

    /// Whether a message is the answer to this very question.
    pub(super) fn is_answered_by(&self, answer: &[u8]) -> bool {
        let same = |part: std::ops::Range<usize>| answer.get(part.clone()) == self.message.get(part);
        same(0..2) && same(HEADER..self.end) && answer.get(2).is_some_and(|byte| byte & ANSWER != 0)
    }

    /// The answer that the name has these addresses, of which it says those that are asked for.
    pub(super) fn finds(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let is_wanted = |address: &&IpAddr| [ANY, kind_of(address)].contains(&self.kind);
        let wanted: Vec<&IpAddr> = addresses.iter().filter(is_wanted).collect();
        let mut answer = self.head(0, u16::try_from(wanted.len()).unwrap_or(u16::MAX));
        for address in wanted {
            answer.extend(SAME_NAME);
            answer.extend(kind_of(address).to_be_bytes());
            answer.extend(INTERNET);
            answer.extend(KEPT_S.to_be_bytes());
            match address {
                IpAddr::V4(address) => {
                    answer.extend([0, 4]);
                    answer.extend(address.octets());
                }
                IpAddr::V6(address) => {
                    answer.extend([0, 16]);
                    answer.extend(address.octets());
                }
            }
        }
        answer
    }

    /// The answer that there is none.
    pub(super) fn fails(&self, failure: Failure) -> Vec<u8> {
        self.head(failure.code(), 0)
    }

    /// The question, made the beginning of its answer.
    fn head(&self, code: u8, answers: u16) -> Vec<u8> {
        let mut head = self.message[..self.end].to_vec();
        head[2] = ANSWER | (head[2] & RECURSION);
        head[3] = RECURSES | code;
        head[6..8].copy_from_slice(&answers.to_be_bytes());
        // Nothing else follows.
        head[8..HEADER].fill(0);
        head
    }
}

/// The kind of record that has such an address.
fn kind_of(address: &IpAddr) -> u16 {
    if address.is_ipv4() { A } else { AAAA }
}

/// The name of a message's question, and where it ends.
fn name(message: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at): (Vec<String>, usize) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        if length > LONGEST_LABEL || at + length > HEADER + LONGEST_NAME {
            return None;
        }
        let label = message.get(at..at + length)?;
        labels.push(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect());
        at += length;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A question for a name, with what EDNS adds to it.
    pub(in crate::resolver) fn asked(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        message
    }

    #[test]
    fn an_answer_has_the_question_and_the_addresses_that_are_asked_for() {
        let message = asked("Web.Campus", 1);
        let question = Question::read(&message).unwrap();
        assert_eq!(question.name(), "web.campus");
        let answer = question.finds(&[[203, 0, 113, 101].into(), "2001:db8::65".parse().unwrap()]);
        let mut expected = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        expected.extend_from_slice(b"\x03Web\x06Campus\x00\x00\x01\x00\x01");
        expected.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 203, 0, 113, 101]);
        assert_eq!(answer, expected);
        assert!(question.is_answered_by(&answer));
        assert_eq!(question.fails(Failure::NoSuchName)[..8], [0x12, 0x34, 0x81, 0x83, 0, 1, 0, 0]);
    }

    #[test]
    fn what_answers_another_question_is_not_taken() {
        let (message, other) = (asked("web", 1), asked("mail", 1));
        let question = Question::read(&message).unwrap();
        let answer = Question::read(&other).unwrap().finds(&[]);
        let mut late = question.finds(&[]);
        late[1] = 0;
        for wrong in [&message[..], &answer, &late, &[]] {
            assert!(!question.is_answered_by(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_question_is_not_read() {
        let (mut answer, mut notice, mut two, mut pointer) =
            (asked("web", 1), asked("web", 1), asked("web", 1), asked("web", 1));
        (answer[2], notice[2], two[5], pointer[12]) = (0x81, 0x20, 2, 0xc0);
        for bad in [&answer[..], &notice, &two, &pointer, &asked("web", 1)[..20], &[0; 12], &[]] {
            assert!(Question::read(bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_not_and_breaks_nothing(mut message in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(head) = message.get_mut(..6) {
                (head[2], head[4], head[5]) = (1, 0, 1);
            }
            if let Some(question) = Question::read(&message) {
                let answer = question.finds(&[[192, 0, 2, 1].into()]);
                prop_assert!(question.is_answered_by(&answer));
            }
        }
    }
}
