//! Letting go of what nobody needs: everything in a store that no kept manifest leads to.

use std::collections::BTreeSet;
use std::fs;

use serde::{Deserialize, Serialize};

use super::{Layout, LayoutError};
use crate::durable;
use crate::oci::{self, Index, Manifest};
use crate::{Digest, json};

/// What a store holds, and what of it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Collected {
    /// Blobs that nothing kept leads to.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes of what is kept.
    pub kept_bytes: u64,
    /// Kept manifests that are not there.
    pub missing: u64,
}

impl Layout {
    /// Counts what no kept manifest leads to, and removes it when that is asked. A kept manifest that is not in this store
    /// is counted as missing; one that is there and can't be read keeps everything.
    ///
    /// Killed halfway, it has removed some of what was to go; the next one removes the rest.
    ///
    /// # Errors
    /// As the file system says, or a kept manifest that is not what its digest says.
    pub fn collect(&self, keep: &[Digest], remove: bool) -> Result<Collected, LayoutError> {
        let mut collected = Collected::default();
        let reached = self.reached(keep, &mut collected.missing)?;
        if remove {
            // First the names, so that none leads to nothing.
            let mut index = self.index()?;
            index.manifests.retain(|manifest| reached.contains(&manifest.digest));
            self.write_index(&index)?;
        }
        let folder = self.root().join("blobs/sha256");
        let failed = |cause| LayoutError::Io { path: folder.clone(), cause };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let bytes = entry.metadata().map_err(failed)?.len();
            let digest = entry.file_name().to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            if digest.is_some_and(|digest| reached.contains(&digest)) {
                collected.kept_bytes += bytes;
                continue;
            }
            collected.blobs += 1;
            collected.bytes += bytes;
            if remove {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        if remove {
            durable::sync_folder(&folder).map_err(failed)?;
        }
        Ok(collected)
    }

    /// Everything that these manifests lead to, they among it.
    fn reached(&self, keep: &[Digest], missing: &mut u64) -> Result<BTreeSet<Digest>, LayoutError> {
        let (mut reached, mut open) = (BTreeSet::new(), Vec::new());
        for digest in keep {
            match self.has(digest) {
                true => open.push(*digest),
                false => *missing += 1,
            }
        }
        while let Some(digest) = open.pop() {
            if !reached.insert(digest) {
                continue;
            }
            let bytes = self.read_digest(&digest, oci::MANIFEST_LIMIT)?;
            if is_index(&bytes) {
                open.extend(Index::parse(&bytes)?.manifests.into_iter().map(|m| m.digest).filter(|d| self.has(d)));
                continue;
            }
            let manifest = Manifest::parse(&bytes)?;
            reached.extend(std::iter::once(&manifest.config).chain(&manifest.layers).map(|blob| blob.digest));
        }
        Ok(reached)
    }
}

/// Whether a manifest lists others: then it has `manifests`, and no configuration.
fn is_index(bytes: &[u8]) -> bool {
    let value = json::parse_foreign::<serde_json::Map<String, serde_json::Value>>("manifest", bytes);
    value.is_ok_and(|map| map.contains_key("manifests") && !map.contains_key("config"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;

    fn image(layout: &Layout, word: &str, shared: &Descriptor) -> Descriptor {
        let config =
            layout.put("application/vnd.oci.image.config.v1+json", format!("{{\"a\":\"{word}\"}}").as_bytes()).unwrap();
        let layer = layout.put("application/vnd.oci.image.layer.v1.tar", word.as_bytes()).unwrap();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": [layer, shared],
        });
        layout.put(oci::MANIFEST, manifest.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_kept_leads_to_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let shared = layout.put("application/vnd.oci.image.layer.v1.tar", b"shared").unwrap();
        let (one, two) = (image(&layout, "one", &shared), image(&layout, "two", &shared));
        layout.tag(&one, "one").unwrap();
        layout.tag(&two, "two").unwrap();
        fs::write(layout.path(&Digest::of(b"x")).with_file_name("no-digest"), "x").unwrap();
        let keep = [one.digest, Digest::of(b"elsewhere")];
        let planned = layout.collect(&keep, false).unwrap();
        assert_eq!((planned.blobs, planned.missing), (4, 1), "manifest, configuration and layer of two, and a stray");
        assert!(layout.has(&two.digest), "nothing goes when nobody asked");
        assert_eq!(layout.collect(&keep, true).unwrap(), planned);
        assert!(!layout.has(&two.digest) && layout.find("two").is_err());
        assert_eq!(layout.find("one").unwrap().digest, one.digest);
        assert_eq!(layout.read(&shared, 10).unwrap(), b"shared");
        let after = layout.collect(&keep, true).unwrap();
        assert_eq!((after.blobs, after.bytes, after.kept_bytes), (0, 0, planned.kept_bytes));

        // A kept manifest that can't be read keeps everything.
        fs::write(layout.path(&one.digest), "not what its digest says").unwrap();
        assert!(layout.collect(&keep, true).is_err());
        assert!(layout.has(&shared.digest));
    }
}
