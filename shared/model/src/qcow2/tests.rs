use super::*;

const CLUSTER: usize = 1 << 16;
const BASE: &[u8] = b"/d/images/x.raw";

/// The first four clusters of an empty disk of 20 MiB that stands on [`BASE`], a raw one.
fn overlay() -> Vec<u8> {
    let mut file = vec![0; 4 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC);
    put(4, &3_u32.to_be_bytes());
    put(8, &136_u64.to_be_bytes());
    put(16, &15_u32.to_be_bytes());
    put(20, &16_u32.to_be_bytes());
    put(24, &(20_u64 << 20).to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(3_u64 << 16).to_be_bytes());
    put(48, &(1_u64 << 16).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    put(104, &EXT_BACKING_FORMAT.to_be_bytes());
    put(108, &3_u32.to_be_bytes());
    put(112, b"raw");
    put(136, BASE);
    file
}

fn read_all(file: &[u8]) -> Result<Header, Fault> {
    read(&file[..HEAD.min(file.len())], file.len() as u64)
}

fn spoilt(at: usize, bytes: &[u8]) -> Result<Header, Fault> {
    let mut file = overlay();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    read_all(&file)
}

#[test]
fn an_overlay_says_what_it_stands_on_and_in_which_state_it_is() {
    let backing = Backing { name: BASE.to_vec(), format: Some(b"raw".to_vec()) };
    let sound = Header { virtual_size_bytes: 20 << 20, backing: Some(backing), dirty: false, corrupt: false };
    assert_eq!(read_all(&overlay()), Ok(sound.clone()));
    let running = spoilt(72, &(DIRTY | CORRUPT).to_be_bytes());
    assert_eq!(running, Ok(Header { dirty: true, corrupt: true, ..sound.clone() }));
    let plain = spoilt(8, &[0; 12]);
    assert_eq!(plain, Ok(Header { backing: None, ..sound.clone() }));
    // Without the name of a format QEMU would probe.
    let unnamed = spoilt(104, &[0; 4]).unwrap().backing.unwrap();
    assert_eq!((unnamed.name.as_slice(), unnamed.format), (BASE, None));
}

#[test]
fn what_leads_elsewhere_is_refused() {
    assert_eq!(spoilt(72, &EXTERNAL_DATA.to_be_bytes()), Err(Fault::ExternalData));
    assert_eq!(spoilt(104, &EXT_DATA_FILE.to_be_bytes()), Err(Fault::ExternalData));
    assert_eq!(spoilt(104, &EXT_ENCRYPTION.to_be_bytes()), Err(Fault::Encrypted("LUKS")));
    assert_eq!(spoilt(32, &1_u32.to_be_bytes()), Err(Fault::Encrypted("AES")));
    assert_eq!(spoilt(72, &(1_u64 << 5).to_be_bytes()), Err(Fault::UnknownFeatures(1 << 5)));
    assert_eq!(spoilt(0, b"json"), Err(Fault::Foreign));
    assert_eq!(read_all(&[]), Err(Fault::Foreign));
}

#[test]
fn a_name_lies_in_the_first_cluster_and_is_no_longer_than_qemu_takes() {
    let absurd = |at: usize, bytes: &[u8]| matches!(spoilt(at, bytes), Err(Fault::Absurd { .. }));
    assert!(absurd(16, &0_u32.to_be_bytes()), "a place without a name");
    assert!(absurd(16, &1_024_u32.to_be_bytes()));
    assert!(absurd(8, &0_u64.to_be_bytes()), "a name without a place");
    assert!(absurd(8, &(CLUSTER as u64 - 14).to_be_bytes()), "its end is in the next cluster");
    assert!(absurd(8, &u64::MAX.to_be_bytes()));
    let large_clusters = [&17_u32.to_be_bytes()[..], &(20_u64 << 20).to_be_bytes()].concat();
    let mut file = overlay();
    file[20..32].copy_from_slice(&large_clusters);
    file[8..16].copy_from_slice(&(HEAD as u64).to_be_bytes());
    file[40..48].copy_from_slice(&(1_u64 << 17).to_be_bytes());
    file[48..56].copy_from_slice(&(1_u64 << 17).to_be_bytes());
    assert_eq!(read_all(&file), Err(CutOff("the backing file's name").into()), "nobody reads so far");
}

#[test]
fn a_name_is_shown_without_what_steers_terminals() {
    assert_eq!(printable(b"a\n\x1b[2Jb\0"), "a[2Jb");
    assert_eq!(printable(&[b'x'; 200]).len(), SHOWN);
}
