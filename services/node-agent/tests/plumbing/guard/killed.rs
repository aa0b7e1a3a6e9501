//! An nft that is killed at whatever it is asked, before or after the kernel has heard it.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use watari_model::node::Enforcement;
use watari_node_agent::plumbing::Plumbing;

use super::{
    firewall::{Call, grouped, policy, reaches, tcp_in},
    silent,
    wire::{CAMPUS, MAIL, WEB, run, socket},
};

/// The program, in place of the real one; only this test's mounts show it.
struct Nft {
    /// The file that says when it is killed.
    when: PathBuf,
}

impl Nft {
    fn replace(folder: &Path) -> Self {
        let path = env::var_os("PATH").unwrap();
        let found = env::split_paths(&path).map(|folder| folder.join("nft")).find(|nft| nft.is_file());
        let place = fs::canonicalize(found.unwrap()).unwrap();
        let (real, when, script) = (folder.join("nft"), folder.join("when"), folder.join("nft-killed"));
        fs::copy(&place, &real).unwrap();
        let (real, read) = (real.display(), when.display());
        let text = format!(
            "#!/bin/sh\n[ \"$(cat {read})\" != before ] || kill -9 $$\n{real} \"$@\"\nended=$?\n\
             [ \"$(cat {read})\" != after ] || kill -9 $$\nexit $ended\n"
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let nft = Self { when };
        nft.dies("never");
        run(&format!("mount --bind {} {}", script.display(), place.display()));
        nft
    }

    fn dies(&self, when: &str) {
        fs::write(&self.when, when).unwrap();
    }
}

/// The ports of `mail`, among these three, at which the campus reaches it.
fn open_ports() -> Vec<u16> {
    [25, 26, 27].into_iter().filter(|port| reaches("campus", MAIL.address, *port)).collect()
}

/// `open` makes an agent as it is after a restart.
pub(crate) async fn hold(folder: &Path, open: impl Fn() -> Plumbing) {
    let nft = Nft::replace(folder);
    let node = open();
    node.restore(&[]).await;
    node.follow(policy(&[tcp_in("25")])).await.unwrap();
    node.connect(&grouped(MAIL)).await.unwrap();
    assert_eq!(open_ports(), [25]);
    let mut open_call = Call::make("campus", "mail", MAIL.address, 25);

    // The kernel has heard nothing: what stood stands, for who is here and for who comes.
    nft.dies("before");
    assert!(node.follow(policy(&[tcp_in("26")])).await.is_err());
    assert!(node.connect(&grouped(WEB)).await.is_err(), "nobody is let in whose rules are not laid");
    node.tend().await;
    assert_eq!(open_ports(), [25]);
    silent("a tap without rules", || {
        socket("web", "0.0.0.0:0").send_to(b"too early", (CAMPUS, 9000)).unwrap();
    });
    assert!(open_call.lives(10_000));
    nft.dies("never");
    node.tend().await;
    assert_eq!(open_ports(), [26]);
    assert_eq!(node.protection().identity, Enforcement::Enforced);
    node.connect(&grouped(WEB)).await.unwrap();

    // The kernel has heard it, of which the agent knows nothing: it says so, and says it again to the kernel.
    nft.dies("after");
    assert!(node.follow(policy(&[tcp_in("27")])).await.is_err());
    assert_eq!(open_ports(), [27]);
    node.tend().await;
    assert_eq!(open_ports(), [27]);
    nft.dies("never");
    node.tend().await;
    assert_eq!(open_ports(), [27]);

    // An agent that starts meanwhile takes nothing away and opens nothing.
    drop(node);
    nft.dies("before");
    let node = open();
    node.follow(policy(&[tcp_in("25")])).await.unwrap();
    node.restore(&[grouped(MAIL), grouped(WEB)]).await;
    assert!(matches!(node.protection().identity, Enforcement::Missing { .. }), "it knows of no rules");
    assert_eq!(open_ports(), [27]);
    nft.dies("never");
    node.tend().await;
    assert_eq!(open_ports(), [25]);
    let protection = node.protection();
    assert_eq!((protection.identity, protection.firewall), (Enforcement::Enforced, Enforcement::Enforced));
    assert!(open_call.lives(10_000));

    node.disconnect(&grouped(MAIL)).await.unwrap();
    node.disconnect(&grouped(WEB)).await.unwrap();
}
