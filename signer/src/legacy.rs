//! The legacy tags `sha256-HEX.sig` and `.att`, which many admission controllers still read.
//!
//! Tags are read, changed and written: layers of others stay, ours is added once.

use artifact::oci::{self, Descriptor, Manifest};
use artifact::{attached, json};
use serde_json::{Value, json};

/// One layer to add: its bytes, and how it is described.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The description.
    pub descriptor: Descriptor,
}

/// The layer of `.sig`.
pub(crate) fn signature_layer(payload: &[u8], signature: &[u8]) -> Layer {
    Layer { bytes: payload.to_vec(), descriptor: attached::signature_layer(payload, signature) }
}

/// A layer of `.att`.
pub(crate) fn attestation_layer(envelope: &[u8], predicate_type: &str) -> Layer {
    Layer { bytes: envelope.to_vec(), descriptor: attached::attestation_layer(envelope, predicate_type) }
}

/// What a legacy tag is to name next.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its configuration.
    pub config: Vec<u8>,
}

/// The manifest with these layers added, and its configuration; `None` when they are there already.
///
/// # Errors
/// A text, when what is there is no image manifest.
pub(crate) fn with_layers(there: Option<&[u8]>, layers: &[Layer]) -> Result<Option<Changed>, String> {
    let (mut manifest, mut all) = match there {
        Some(bytes) => {
            let parsed = Manifest::parse(bytes).map_err(|e| e.to_string())?;
            (json::parse_foreign::<Value>("manifest", bytes).map_err(|e| e.to_string())?, parsed.layers)
        }
        None => (json!({"schemaVersion": 2, "mediaType": oci::MANIFEST, "layers": []}), Vec::new()),
    };
    let missing: Vec<_> = layers.iter().map(|l| &l.descriptor).filter(|d| !all.contains(d)).cloned().collect();
    if missing.is_empty() && there.is_some() {
        return Ok(None);
    }
    // As others spelled them, and ours behind.
    let list = manifest.get_mut("layers").and_then(Value::as_array_mut).ok_or("a manifest without layers")?;
    list.extend(missing.iter().map(|layer| json!(layer)));
    all.extend(missing);
    let config = attached::legacy_config(&all).map_err(|e| e.to_string())?;
    manifest["config"] = json!(Descriptor::of(oci::CONFIG, &config));
    let manifest = json::canonical("manifest", &manifest).map_err(|e| e.to_string())?;
    Ok(Some(Changed { manifest, config }))
}

#[cfg(test)]
mod tests {
    use artifact::Digest;

    use super::*;

    #[test]
    fn layers_of_others_stay_and_ours_is_added_once() {
        let foreign = signature_layer(b"theirs", b"x");
        let ours = signature_layer(b"ours", b"y");
        let first = with_layers(None, std::slice::from_ref(&foreign)).unwrap().unwrap();
        let both = with_layers(Some(&first.manifest), std::slice::from_ref(&ours)).unwrap().unwrap();
        let manifest = Manifest::parse(&both.manifest).unwrap();
        assert_eq!(manifest.layers, [foreign.descriptor, ours.descriptor.clone()]);
        assert_eq!(manifest.config.digest, Digest::of(&both.config));
        assert!(with_layers(Some(&both.manifest), &[ours]).unwrap().is_none());
        // Words of theirs that we don't know stay as well.
        let mut worded: Value = serde_json::from_slice(&first.manifest).unwrap();
        worded["annotations"] = json!({"theirs": "x"});
        worded["layers"][0]["urls"] = json!(["https://x"]);
        let ours = signature_layer(b"ours", b"y");
        let both = with_layers(Some(worded.to_string().as_bytes()), &[ours]).unwrap().unwrap();
        let both: Value = serde_json::from_slice(&both.manifest).unwrap();
        assert_eq!((&both["annotations"]["theirs"], &both["layers"][0]), (&json!("x"), &worded["layers"][0]));
    }
}
