use proptest::prelude::*;

use super::*;

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxdAgfcDWihODsMd0E+dEcsAxR7LJqwDhyGhI6p5rCh sato@example.jp";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFebI0GgpsTix4wbO2Y1CAgBQ0vs6sefGPdThoaCeayJ/WjaD51Rj30mEC71Y2a8dqRrlIo3QsIdCHAaq5HcqnU= sato@example.jp";
const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDB9FKYRtPfKHh0QlLBjZVYsgxNbt8IDB8PyY5qFjUTIJZEM2ls8D42sG+X+r+zdAARDAzgDKz1AI95UQ/fJXo+xQ/FbIralz7dWed2d0Epajr4qCFCiWiSpZJJcXASHONUX8mtDQq/d8JX6n2C/+JP3/44tOSNWUySc/mE3Ap6OMIl/YHBMY82nqArCD++ZGxm4zKUq2M1CQ808ji1kd42l+XlQinbEBLUvpgYWyA5wemTZFUlWtN2d9pvwj/ROtz6MGzauBPrKz5c4uRbeHSDFQcq9UuOJfX0Bjxpz4hhgOTHV/9zInVCyFjExvzqMyon0c7A/iWWGnzMkONn2oa9 sato@example.jp";
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDLRzZNrBfJ4YhuPAe8mUb8os++PwtquhDl3ZM+b94x6ElSLmm7hGyiL0YwGf/PnqcttLKgeQRYqvw0vKvPx/0bqSXwjEj6cgInugaywU3/Tb/yt3s/6xxYGQtUxuahWCykfZlyAQyaeJlwRrJ0pdfBILAbweZG/vQIFLOU6eXotQ== sato@example.jp";

fn refused(text: &str) -> String {
    match Line::parse(text) {
        Err(NotAKey::Other(detail)) => detail.en,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_usual_keys_are_taken_as_they_are() {
    for line in [ED25519, ECDSA, RSA_2048] {
        assert_eq!(Line::parse(line).unwrap().as_str(), line);
        assert_eq!(Line::parse(&format!("\n  {line} \r\n\n")).unwrap().as_str(), line, "blank space around it");
    }
    let key = Line::parse(ED25519).unwrap();
    assert_eq!((key.algorithm(), key.comment()), ("ssh-ed25519", "sato@example.jp"));
    assert_eq!(key.fingerprint(), "SHA256:g2raTWlaw/bM5mgxaFBNUuPaobzGiWRS1stkUq3DsOw", "as ssh-keygen -l says");
}

#[test]
fn a_comment_may_be_missing_and_may_hold_spaces() {
    let bare = ED25519.rsplit_once(' ').unwrap().0;
    assert_eq!(Line::parse(bare).unwrap().as_str(), bare);
    let key = Line::parse(&format!("{bare} Sato Hanako 佐藤")).unwrap();
    assert_eq!(key.comment(), "Sato Hanako 佐藤");
}

#[test]
fn a_private_key_is_told_apart() {
    for text in
        ["-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "-----BEGIN RSA PRIVATE KEY-----", "PuTTY-User-Key-File-3: x"]
    {
        assert_eq!(Line::parse(text), Err(NotAKey::Private), "{text}");
    }
}

#[test]
fn what_is_no_single_sound_key_is_refused_with_the_reason() {
    assert!(refused("").contains("0 lines"));
    assert!(refused(&format!("{ED25519}\n{ECDSA}")).contains("2 lines"));
    assert!(refused(&"a".repeat(MAX_LINE + 1)).contains("more than"));
    assert!(refused(RSA_1024).contains("1024 bits"));
    assert!(refused("hello").contains("does not begin"));
    assert!(refused(&format!("command=\"id\" {ED25519}")).contains("options"));
    assert!(refused("ssh-ed25519 AAAA").contains("damaged"));
    assert!(refused("ssh-ed25519").contains("damaged"));
    assert!(refused(&ED25519.replacen("ssh-ed25519", "ssh-rsa", 1)).contains("damaged"), "the two algorithms differ");
    assert!(refused(&format!("{ED25519}\u{7}")).contains("comment"));
    assert!(refused(&format!("{ED25519} \"x")).contains("comment"));
    assert!(refused(&format!("{ED25519}{}", "x".repeat(MAX_COMMENT))).contains("longer"));
}

#[test]
fn dsa_is_refused() {
    // The blob of an `ssh-dss` key with numbers of one byte each.
    let blob = "AAAAB3NzaC1kc3MAAAABAQAAAAEBAAAAAQEAAAABAQ==";
    let detail = refused(&format!("ssh-dss {blob}"));
    assert!(detail.contains("ssh-dss"), "{detail}");
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_taken_is_one_plain_line(text in ".{0,200}") {
        for text in [text.clone(), format!("{ED25519} {text}"), format!("ssh-ed25519 {text}")] {
            if let Ok(line) = Line::parse(&text) {
                prop_assert!(!line.as_str().contains(|c: char| c.is_control() || c == '"' || c == '\''));
                prop_assert_eq!(&Line::parse(line.as_str()).unwrap(), &line, "reading again changes nothing");
            }
        }
    }
}
