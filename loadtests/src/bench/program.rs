//! A service's process on a NATS server of the benchmark's own, and what it finds there.

use std::{
    ffi::OsString,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use watari_chassis::{Bucket, Context};
use watari_model::{
    firewall::Firewall,
    image::Image,
    network::{Network, Port},
    node::Node,
    vm::Vm,
};

/// The process; it ends with the measurement.
pub(super) struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    pub(super) fn start(program: &Path, url: &str) -> anyhow::Result<Self> {
        Self::start_with(program, url, [])
    }

    /// The same with settings of its own.
    pub(super) fn start_with(
        program: &Path,
        url: &str,
        settings: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.env("WATARI_BUS_URLS", format!("[\"{url}\"]")).env("WATARI_TELEMETRY_LOG", "warn").envs(settings);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        child.map(Self).with_context(|| format!("cannot start {}", program.display()))
    }
}

/// Opens what services read of one another, so that each may lead without the others.
pub(super) async fn open_buckets(ctx: &Context) -> anyhow::Result<()> {
    Bucket::<Vm>::open(ctx).await?;
    Bucket::<Node>::open(ctx).await?;
    Bucket::<Image>::open(ctx).await?;
    Bucket::<Network>::open(ctx).await?;
    Bucket::<Port>::open(ctx).await?;
    Bucket::<Firewall>::open(ctx).await?;
    Ok(())
}
