//! A real server of others that speaks S3, on the witness, in which both front ends keep their images.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::Context;

use super::{Stage, images, until};
use crate::lab::front_of;

type Run = fn(&Stage) -> anyhow::Result<()>;

pub(super) const SCENARIOS: &[(&str, Run)] =
    &[("an_image_that_no_front_end_has_any_more_comes_back_from_its_store_and_starts_at_the_other_campus", comes_back)];

/// At neither campus.
const HOST: &str = "witness";
const FRONTS: [&str; 2] = ["m-front", "y-front"];
/// On the front ends' own disks.
const CONFIGURATION: &str = "/etc/watari/image.toml";
const CREDENTIALS: &str = "/etc/watari/s3.env";
const AUTHORITY: &str = "/etc/watari/tls/ca.crt";
const PORT: &str = "9000";
const BUCKET: &str = "images";
/// The image, and the server that is made from it.
const STORED: &str = "stored";

/// The store, which both image services know. Dropped, they are as they were before, and it is gone.
struct Store<'a> {
    stage: &'a Stage,
    server: Child,
    before: Vec<(&'static str, String)>,
}

impl<'a> Store<'a> {
    fn start(stage: &'a Stage) -> anyhow::Result<Self> {
        let [cert, key] = ["host.crt", "host.key"].map(|name| stage.lab.file(HOST, &format!("/etc/watari/tls/{name}")));
        let server = stage.lab.within(HOST, || {
            let mut moto = Command::new("moto_server");
            moto.args(["-H", "0.0.0.0", "-p", PORT, "-c"]).arg(&cert).arg("-k").arg(&key);
            let started = moto.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            started.context("deploy/prerequisites --for test installs moto")
        })?;
        let mut store = Self { stage, server, before: Vec::new() };
        let bucket = format!("{}/{BUCKET}", endpoint());
        let make = ["exec", FRONTS[0], "--", "curl", "-fsS", "-m", "5", "--cacert", AUTHORITY, "-X", "PUT", &bucket];
        until(60, "the store has a bucket", || stage.lab.run(&make).map(|_| true))?;
        let own = format!(
            "\n[image.store]\nurl = \"s3://{BUCKET}/lab\"\nendpoint = \"{}\"\ncampus = \"elsewhere\"\n\
             credentials = \"{CREDENTIALS}\"\nca = \"{AUTHORITY}\"\nlook_seconds = 1\n",
            endpoint()
        );
        for front in FRONTS {
            fs::write(stage.lab.file(front, CREDENTIALS), "AWS_ACCESS_KEY_ID=watari\nAWS_SECRET_ACCESS_KEY=lab\n")?;
            let file = stage.lab.file(front, CONFIGURATION);
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            fs::write(&file, format!("{text}{own}"))?;
            store.before.push((front, text));
        }
        store.restart()?;
        Ok(store)
    }

    /// Starts both image services anew; the one that led leads again.
    fn restart(&self) -> anyhow::Result<()> {
        let lab = &self.stage.lab;
        let led = lab.led_from().ok().flatten();
        let first = led.as_deref().map_or(FRONTS[0], front_of);
        for front in FRONTS {
            lab.run(&["stop", front, "image"])?;
        }
        lab.run(&["start", first, "image"])?;
        until(60, "the image service answers", || self.stage.watari(&["image", "list"]).map(|_| true))?;
        let mut others = FRONTS.into_iter().filter(|front| *front != first);
        others.try_for_each(|front| lab.run(&["start", front, "image"]).map(drop))
    }

    fn forget(&self) -> anyhow::Result<()> {
        for (front, text) in &self.before {
            fs::write(self.stage.lab.file(front, CONFIGURATION), text)?;
            fs::remove_file(self.stage.lab.file(front, CREDENTIALS))?;
        }
        self.restart()?;
        until(60, "no image is said to be in the store", || Ok(self.stage.show("image", "mini")?["kept"].is_null()))
    }
}

impl Drop for Store<'_> {
    fn drop(&mut self) {
        let forgotten = self.forget();
        let ended = self.server.kill().and_then(|()| self.server.wait()).context("moto_server does not end");
        if let Err(error) = forgotten.and(ended.map(drop)) {
            eprintln!("the object store was not cleared away: {error:#}");
        }
    }
}

fn endpoint() -> String {
    format!("https://{HOST}:{PORT}")
}

fn comes_back(stage: &Stage) -> anyhow::Result<()> {
    let leads = stage.lab.led_from()?.context("the services lead from nowhere")?;
    let mut store = Store::start(stage)?;
    let outcome = lost_and_back(stage, if leads == "myodaiji" { "yamate" } else { "myodaiji" });
    // While the store is there, so that nothing is left in the books of what was in it.
    outcome.and(images::discard(stage, STORED))?;
    store.server.kill().and_then(|()| store.server.wait()).context("moto_server does not end")?;
    until(60, "the doctor names the store that is away", || Ok(stage.doctor(&[])?.names("image.store-away", BUCKET)))
}

fn lost_and_back(stage: &Stage, other: &str) -> anyhow::Result<()> {
    images::import(stage, STORED)?;
    images::at_both(stage, STORED, "kept")?;
    images::at_both(stage, STORED, "copies")?;

    let shown = stage.show("image", STORED)?;
    let sha256 = shown["sha256"].as_str().context("an image without a digest")?;
    let blob = format!("/var/lib/watari/image/blobs/{sha256}");
    let blobs: [PathBuf; 2] = FRONTS.map(|front| stage.lab.file(front, &blob));
    for blob in &blobs {
        fs::remove_file(blob).with_context(|| format!("{} is not where an image is expected", blob.display()))?;
    }
    until(60, "both front ends have it from the store", || Ok(blobs.iter().all(|blob| blob.exists())))?;

    images::start(stage, STORED, other, "1GiB")
}
