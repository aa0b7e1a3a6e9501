//! What proves to an object store who asks. It is held by the client alone: nothing here can be printed.

use std::path::Path;

use object_store::aws::AmazonS3Builder;

const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// Gives a client its credentials: from a file, or from the environment if none is named.
///
/// # Errors
/// A sentence for the operator, without any of what was read.
pub(super) fn given(client: AmazonS3Builder, file: &Path) -> Result<AmazonS3Builder, String> {
    if file.as_os_str().is_empty() {
        let missing =
            |name: &str| format!("image.store.credentials names no file, and there is no environment variable {name}");
        return with(client, |name| std::env::var(name).ok().filter(|value| !value.is_empty()), missing);
    }
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let missing = |name: &str| format!("{} has no line {name}=…", file.display());
    with(client, |name| valued(&text, name), missing)
}

fn with(
    client: AmazonS3Builder,
    read: impl Fn(&str) -> Option<String>,
    missing: impl Fn(&str) -> String,
) -> Result<AmazonS3Builder, String> {
    let known = |name: &str| read(name).ok_or_else(|| missing(name));
    let client = client.with_access_key_id(known(KEY_ID)?).with_secret_access_key(known(SECRET)?);
    Ok(match read(TOKEN) {
        Some(token) => client.with_token(token),
        None => client,
    })
}

/// The value of a `NAME=value` line.
fn valued(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim_start().strip_prefix('='))?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_lines_is_read_as_systemd_and_shells_write_it() {
        let text = "# of the images' bucket\nAWS_ACCESS_KEY_ID=AK\n AWS_SECRET_ACCESS_KEY = \"a/b+c==\" \nAWS_SESSION_TOKEN=\n";
        assert_eq!(valued(text, KEY_ID).as_deref(), Some("AK"));
        assert_eq!(valued(text, SECRET).as_deref(), Some("a/b+c=="));
        assert_eq!(valued(text, TOKEN), None);
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_else_is_told() {
        let dir = watari_testkit::TempDir::new();
        let file = dir.path().join("s3");
        std::fs::write(&file, "AWS_SECRET_ACCESS_KEY=sesame\n").unwrap();
        let told = given(AmazonS3Builder::new(), &file).unwrap_err();
        assert!(told.contains(KEY_ID) && !told.contains("sesame"), "{told}");
        assert!(given(AmazonS3Builder::new(), &dir.path().join("none")).unwrap_err().contains("none"));
    }
}
