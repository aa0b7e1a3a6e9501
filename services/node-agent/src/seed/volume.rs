//! The volume: a FAT file system in memory. Its size, number and dates are fixed, so that the same
//! files make the same bytes everywhere.

use std::io::{self, Cursor, Write};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

use super::files::Files;

/// Room for 64 KiB of user-data, as much of keys, and the rest.
const BYTES: usize = 512 << 10;
/// What cloud-init looks for, padded as FAT has it.
const LABEL: [u8; 11] = *b"cidata     ";
/// "CIDA": a volume's number is otherwise made from the time.
const NUMBER: u32 = 0x4349_4441;

/// The volume's bytes.
///
/// # Errors
/// The files do not fit.
pub fn volume(files: &Files) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; BYTES];
    let options = FormatVolumeOptions::new().volume_label(LABEL).volume_id(NUMBER);
    fatfs::format_volume(Cursor::new(bytes.as_mut_slice()), options)?;
    {
        let volume = FileSystem::new(Cursor::new(bytes.as_mut_slice()), FsOptions::new())?;
        let parts = [
            ("meta-data", &files.meta_data),
            ("user-data", &files.user_data),
            ("network-config", &files.network_config),
        ];
        for (name, text) in parts {
            let mut file = volume.root_dir().create_file(name)?;
            file.write_all(text.as_bytes())?;
            file.flush()?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{
        super::files::{files, tests::server},
        *,
    };

    fn read(bytes: &mut [u8], name: &str) -> String {
        let volume = FileSystem::new(Cursor::new(bytes), FsOptions::new()).unwrap();
        let mut text = String::new();
        volume.root_dir().open_file(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_is_written_is_read_and_the_same_files_make_the_same_bytes() {
        let files = files(&server());
        let mut bytes = volume(&files).unwrap();
        assert_eq!(bytes, volume(&files).unwrap());
        assert_eq!(read(&mut bytes, "meta-data"), files.meta_data);
        assert_eq!(read(&mut bytes, "user-data"), files.user_data);
        assert_eq!(read(&mut bytes, "network-config"), files.network_config);
    }

    #[test]
    fn blkid_sees_the_label_that_cloud_init_looks_for() {
        let path = std::env::temp_dir().join(format!("watari-seed-{}", std::process::id()));
        std::fs::write(&path, volume(&files(&server())).unwrap()).unwrap();
        let output = std::process::Command::new("blkid").args(["-p", "-o", "export"]).arg(&path).output().unwrap();
        std::fs::remove_file(&path).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("LABEL=cidata\n") && said.contains("TYPE=vfat\n"), "{said}");
    }

    #[test]
    fn the_largest_user_data_fits_and_more_than_the_volume_does_not() {
        let mut files = files(&server());
        files.user_data = "#".repeat(watari_model::userdata::MAX_BYTES);
        files.meta_data = "#".repeat(16 * watari_model::key::MAX_LINE);
        assert!(volume(&files).is_ok());
        files.user_data = "#".repeat(BYTES);
        assert!(volume(&files).is_err());
    }
}
