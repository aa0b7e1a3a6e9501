//! The image service: takes images in, checks them, and keeps a copy at every site.

use std::process::ExitCode;

use watari_contracts::Service;
use watari_image::settings::{DEFAULTS, Settings};

fn main() -> ExitCode {
    watari_chassis::run(Service::Image, DEFAULTS, watari_image::work::<Settings>)
}
