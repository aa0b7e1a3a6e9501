//! `watari vm screenshot`.

use std::fs;

use clap::Args;
use serde::Serialize;
use watari_contracts::scheduler::VmScreenshot;
use watari_model::{NodeName, VmName};

use crate::{
    Context,
    failure::Failure,
    input,
    texts::{evidence::written, faults::Fault},
};

/// Of what, and where to.
#[derive(Debug, Args)]
pub struct Screenshot {
    /// The server
    name: String,
    /// The PNG file to write [default: the server's name with .png]
    #[arg(value_name = "FILE.png")]
    file: Option<String>,
}

/// A picture that was taken. The field names are stable.
#[derive(Debug, Serialize)]
struct Taken {
    name: VmName,
    node: NodeName,
    file: String,
    bytes: usize,
}

impl Screenshot {
    /// Takes the picture and writes the file.
    pub(super) async fn run(self, ctx: &Context) -> Result<(), Failure> {
        let shown = ctx.session.ask(&VmScreenshot { name: input::name(&self.name)? }).await?;
        let file = self.file.unwrap_or_else(|| format!("{}.png", shown.name));
        let png = shown.png.0;
        fs::write(&file, &png).map_err(|error| Fault::unwritten(&file, &error))?;
        let text = written(ctx.out.lang, &file);
        let taken = Taken { name: shown.name, node: shown.node, file: file.clone(), bytes: png.len() };
        ctx.out.told(&taken, [file], || text)
    }
}
