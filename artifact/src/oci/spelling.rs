//! One spelling for each name. Go reads JSON names whatever their case (and `ſ` for `s`, `K` for `k`), the last one wins,
//! and every container runtime is written in Go: beside `layers`, `Layers` is what they would run. So a name that is one
//! of ours but for its case is refused, not passed over as unknown.

use serde_json::Value;

use super::OciError;
use crate::digest::shortened;

/// Every name that decides something, in a manifest, an index, a descriptor or a configuration.
const NAMES: [&str; 31] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "subject",
    "annotations",
    "manifests",
    "digest",
    "size",
    "platform",
    "urls",
    "data",
    "architecture",
    "os",
    "variant",
    "created",
    "rootfs",
    "type",
    "diff_ids",
    "history",
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
];

/// What holds names or words that somebody chose freely.
const FREE: [&str; 5] = ["annotations", "ExposedPorts", "Volumes", "Labels", "history"];

/// Refuses names in another case, and takes away members that are `null`: Docker writes out what is not there.
pub(super) fn settle(what: &'static str, value: &mut Value) -> Result<(), OciError> {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            for (name, value) in members {
                if NAMES.iter().any(|known| known != name && folded(known) == folded(name)) {
                    let why = format!("{:?}, which runtimes read as a name in another case", shortened(name));
                    return Err(OciError::Shape { what, why });
                }
                if !FREE.contains(&name.as_str()) {
                    settle(what, value)?;
                }
            }
            Ok(())
        }
        Value::Array(list) => list.iter_mut().try_for_each(|value| settle(what, value)),
        _ => Ok(()),
    }
}

/// As Go's `encoding/json` folds names before it compares them.
fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::*;
    use super::{FREE, NAMES};

    fn names(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                found.insert(name.clone());
                if !FREE.contains(&name.as_str()) {
                    names(value, found);
                }
            }),
            Value::Array(list) => list.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }

    fn full() -> (ImageConfig, Manifest, Index) {
        let words = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let platform = Platform { architecture: "a".into(), os: "o".into(), variant: Some("v".into()) };
        let mut blob = Descriptor::of(LAYER, b"").annotated("a", "b");
        (blob.artifact_type, blob.platform) = (Some("t".into()), Some(platform));
        let keys = BTreeMap::from([("k".to_owned(), Empty {})]);
        let config = RuntimeConfig {
            user: "u".into(),
            exposed_ports: keys.clone(),
            env: vec!["A=1".into()],
            entrypoint: vec!["e".into()],
            cmd: vec!["c".into()],
            volumes: keys,
            working_dir: "/".into(),
            labels: words.clone(),
            stop_signal: "s".into(),
            other: BTreeMap::from([("Healthcheck".to_owned(), "h".into())]),
        };
        let config = ImageConfig {
            created: Some("c".into()),
            architecture: "a".into(),
            os: "o".into(),
            variant: Some("v".into()),
            config,
            rootfs: RootFs { kind: "layers".into(), diff_ids: vec![blob.digest] },
            history: vec!["h".into()],
        };
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.into(),
            artifact_type: Some("t".into()),
            config: blob.clone(),
            layers: vec![blob.clone()],
            subject: Some(blob.clone()),
            annotations: words,
        };
        (config, manifest, Index::of(vec![blob]))
    }

    #[test]
    fn every_name_that_is_read_has_one_spelling() {
        let (config, manifest, index) = full();
        let mut known: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        // Foreign layers' addresses and inline content are names that others read, and that we never write.
        assert!(known.remove("urls") && known.remove("data"));
        let mut read = BTreeSet::new();
        names(&serde_json::to_value(config).unwrap(), &mut read);
        names(&serde_json::to_value(manifest).unwrap(), &mut read);
        names(&serde_json::to_value(index).unwrap(), &mut read);
        assert_eq!(read, known);
    }

    #[test]
    fn a_name_in_another_case_is_refused() {
        let (config, manifest, index) = full();
        let text = |value: Value, plain: &str, other: &str| value.to_string().replacen(plain, other, 1).into_bytes();
        for (plain, other) in [
            (r#""config":"#, r#""Config":{"Entrypoint":["/other"]},"config":"#),
            (r#""rootfs":"#, r#""rootfſ":"#),
            (r#""Entrypoint":"#, r#""entrypoint":["/other"],"Entrypoint":"#),
            (r#""os":"#, r#""OS":"#),
        ] {
            let spoiled = text(serde_json::to_value(&config).unwrap(), plain, other);
            assert!(ImageConfig::parse(&spoiled).unwrap_err().to_string().contains("another case"), "{other}");
        }
        for (plain, other) in [
            (r#""layers":"#, r#""Layers":[],"layers":"#),
            (r#""digest":"#, r#""Digest":"x","digest":"#),
            (r#""config":"#, r#""\u0043onfig":{},"config":"#),
        ] {
            let spoiled = text(serde_json::to_value(&manifest).unwrap(), plain, other);
            assert!(Manifest::parse(&spoiled).unwrap_err().to_string().contains("another case"), "{other}");
        }
        let spoiled = text(serde_json::to_value(&index).unwrap(), r#""manifests":"#, r#""MANIFESTS":[],"manifests":"#);
        assert!(Index::parse(&spoiled).unwrap_err().to_string().contains("another case"));
    }

    #[test]
    fn what_people_choose_freely_may_be_spelled_as_they_like() {
        let (mut config, mut manifest, _) = full();
        config.config.labels = BTreeMap::from([("Config".into(), "1".into()), ("config".into(), "2".into())]);
        manifest.annotations = BTreeMap::from([("Layers".into(), "x".into())]);
        assert_eq!(ImageConfig::parse(&serde_json::to_vec(&config).unwrap()).unwrap(), config);
        assert_eq!(Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap(), manifest);
    }
}
