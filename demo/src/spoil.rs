//! Spoiling a candidate, as someone who broke into CI would: one bit of one file, and everything else in order.

use std::io::Read as _;

use artifact::Digest;
use artifact::layout::Layout;
use artifact::oci::{CONFIG_LIMIT, Descriptor, ImageConfig, LAYER_GZIP, MANIFEST_LIMIT, Manifest};

use crate::base::image;
use crate::trouble::{During as _, Trouble};

/// The largest layer that is spoiled, in bytes; it is held in memory.
const LAYER_LIMIT: u64 = 256 << 20;

/// A block of a tar.
const BLOCK: usize = 512;

/// What was spoiled.
#[derive(Debug, Clone)]
pub struct Spoiled {
    /// The file, by its path in the layer.
    pub path: String,
    /// The image as it was before.
    pub before: Digest,
    /// The image as it is now.
    pub after: Descriptor,
}

/// Makes a program setuid root in an image's last layer, and names the new image as the old one was. Digests,
/// configuration and manifest are all put right: nothing but a comparison could tell.
///
/// # Errors
/// When there is no such image, or no program in its last layer.
pub fn make_setuid(layout: &Layout, name: &str) -> Result<Spoiled, Trouble> {
    let before = layout.find(name).map_err(Trouble::wrong)?;
    let manifest = layout.read(&before, MANIFEST_LIMIT).map_err(Trouble::wrong)?;
    let manifest = Manifest::parse(&manifest).map_err(Trouble::wrong)?;
    let config = layout.read(&manifest.config, CONFIG_LIMIT).map_err(Trouble::wrong)?;
    let mut config = ImageConfig::parse(&config).map_err(Trouble::wrong)?;
    let mut layers = manifest.layers;
    let (Some(layer), Some(diff_id)) = (layers.last_mut(), config.rootfs.diff_ids.last_mut()) else {
        return Err(Trouble::wrong("an image without layers"));
    };
    let packed = layout.read(layer, LAYER_LIMIT).map_err(Trouble::wrong)?;
    let mut tar = Vec::new();
    let mut plain = flate2::read::MultiGzDecoder::new(&packed[..]).take(LAYER_LIMIT);
    plain.read_to_end(&mut tar).during("the candidate's layer")?;
    let path = set_bit(&mut tar).ok_or_else(|| Trouble::wrong("no program in the candidate's last layer"))?;
    *diff_id = Digest::of(&tar);
    let mut gzip = flate2::read::GzEncoder::new(&tar[..], flate2::Compression::fast());
    let mut packed = Vec::new();
    gzip.read_to_end(&mut packed).during("the spoiled layer")?;
    *layer = layout.put(LAYER_GZIP, &packed).map_err(Trouble::wrong)?;
    let after = image(layout, &config, layers)?;
    layout.tag(&after, name).map_err(Trouble::wrong)?;
    Ok(Spoiled { path, before: before.digest, after })
}

/// Sets the setuid bit in the header of the first program, and says which it is.
fn set_bit(tar: &mut [u8]) -> Option<String> {
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        let octal = |field: &[u8]| {
            let text = String::from_utf8_lossy(field);
            u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
        };
        let (mode, size) = (octal(&header[100..108])?, octal(&header[124..136])?);
        if header[156] == b'0' && mode & 0o111 != 0 {
            header[100..108].copy_from_slice(format!("{:07o}\0", mode | 0o4000).as_bytes());
            // The sum of the header's bytes, with blanks where it stands itself.
            header[148..156].fill(b' ');
            let sum: u64 = header.iter().map(|b| u64::from(*b)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let name = |field: &[u8]| String::from_utf8_lossy(field).trim_end_matches('\0').to_owned();
            let (prefix, name) = (name(&header[345..500]), name(&header[..100]));
            return Some(if prefix.is_empty() { name } else { format!("{prefix}/{name}") });
        }
        at += BLOCK + usize::try_from(size).ok()?.next_multiple_of(BLOCK);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::base::Base;
    use crate::command::run;

    #[test]
    fn one_file_is_setuid_and_everything_else_is_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let (base, image) = Base::Tiny.get().unwrap();
        run(Command::new("cp").arg("-r").arg(base.root()).arg(folder.path().join("copy"))).unwrap();
        let layout = Layout::open(folder.path().join("copy"));
        let spoiled = make_setuid(&layout, "base").unwrap();
        assert_eq!((spoiled.before, spoiled.path.as_str()), (image.digest, "./bin/busybox"));
        assert_eq!(layout.find("base").unwrap().digest, spoiled.after.digest);
        let list = |image: &Descriptor| {
            let manifest = Manifest::parse(&layout.read(image, MANIFEST_LIMIT).unwrap()).unwrap();
            let tar = layout.path(&manifest.layers[0].digest);
            run(Command::new("tar").args(["--full-time", "-tvf"]).arg(tar)).unwrap().stdout
        };
        let (before, after) = (list(&image), list(&spoiled.after));
        let differ: Vec<_> = before.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(differ.len(), 1);
        assert!(differ[0].0.starts_with("-rwxr-xr-x ") && differ[0].1.starts_with("-rwsr-xr-x "), "{differ:?}");
    }
}
