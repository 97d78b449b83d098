//! A release of three bundles, and what is wrong with one in a registry.

use std::sync::Arc;
use std::time::Duration;

use artifact::attached;
use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::key::{P256Key, PublicKey};
use artifact::lane::LaneName;
use artifact::layout::Layout;
use artifact::name::Repository;
use artifact::oci::{self, Descriptor, Manifest};
use artifact::statement::comparison::Level;
use artifact::statement::permit::Terms;
use artifact::{Digest, Moment};
use demo::registry::Registry;
use registry::{Client, Patience};
use serde_json::json;

use crate::config::SignerConfig;
use crate::legacy;
use crate::publish::{Attached, Publication, Published};

/// What the three statements are.
pub(super) const PREDICATES: [&str; 3] = [crate::statements::SIGN, "https://p.example/1", "https://p.example/2"];

pub(super) fn local<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A client of one registry that does not keep a test waiting, and sends large blobs in chunks of 2000 bytes.
pub(super) fn client(host: &str) -> Client {
    let text = format!("verifier_id = \"x\"\nkey = \"file\"\n[registry.\"{host}\"]\nplain_http = true");
    let hosts = toml::from_str::<SignerConfig>(&text).unwrap().registry;
    let patience =
        Patience { answer: Duration::from_secs(20), waiting: Duration::from_secs(20), first: Duration::from_millis(1) };
    Client::with_patience(&hosts, patience).unwrap().in_pieces_of(2000)
}

/// What others wrote: a manifest, and what stands in it.
pub(super) struct Theirs {
    pub digest: Digest,
    pub layer: Descriptor,
}

pub(super) struct Fixture {
    pub registry: Arc<Registry>,
    pub layout: Layout,
    pub key: Arc<P256Key>,
    pub word: String,
    /// The repository's path, and those of its replicas.
    pub path: String,
    pub replicas: Vec<String>,
    pub previous: Option<Digest>,
    pub beside: Vec<Repository>,
    pub folder: Arc<tempfile::TempDir>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        // A registry syncs each write: on a disk the tables would take minutes.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self {
            registry: Arc::new(Registry::start(folder.path().join("registry")).unwrap()),
            layout: Layout::create(folder.path().join("rebuilds")).unwrap(),
            key: Arc::new(P256Key::generate().unwrap()),
            word: "first".into(),
            path: "app".into(),
            replicas: vec![],
            previous: None,
            beside: vec![],
            folder: Arc::new(folder),
        }
    }

    /// Another release to the same registry.
    pub(super) fn again(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
            layout: self.layout.clone(),
            key: Arc::clone(&self.key),
            word: self.word.clone(),
            path: self.path.clone(),
            replicas: self.replicas.clone(),
            previous: self.previous,
            beside: self.beside.clone(),
            folder: Arc::clone(&self.folder),
        }
    }

    pub(super) fn repository(&self, path: &str) -> Repository {
        self.registry.repository(path).unwrap()
    }

    pub(super) fn image(&self, word: &str) -> Digest {
        let layer = self.layout.put(oci::LAYER_GZIP, &[7; 5000]).unwrap();
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": [word]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]}});
        let config = self.layout.put(oci::CONFIG, config.to_string().as_bytes()).unwrap();
        let manifest = json!({"schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": [layer]});
        self.layout.put(oci::MANIFEST, manifest.to_string().as_bytes()).unwrap().digest
    }

    pub(super) fn terms(&self) -> Terms {
        let repository = self.repository(&self.path);
        self.terms_at(repository)
    }

    fn terms_at(&self, repository: Repository) -> Terms {
        let moment = Moment::now();
        Terms {
            lane: LaneName::Public,
            trial: true,
            project: "hello".parse().unwrap(),
            commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
            digest: self.image(&self.word),
            repository,
            tags: vec!["latest".parse().unwrap(), format!("v-{}", self.word).parse().unwrap()],
            previous: self.previous,
            level: Level::BitForBit,
            rules: Digest::of(b"rules"),
            facts: Digest::of(b"facts"),
            comparisons: vec![],
            branch_checked: moment,
            decided: moment,
            expires: moment,
        }
    }

    /// Publishes over the straight line.
    pub(super) fn publish(&self) -> Result<Published, Failure> {
        self.publish_to(&self.registry.host(), &client(&self.registry.host()))
    }

    /// Publishes to the registry that answers at this host. What is signed is the same each time, as if it were recorded.
    pub(super) fn publish_to(&self, host: &str, client: &Client) -> Result<Published, Failure> {
        let at = |path: &str| -> Repository { format!("{host}/{path}").parse().unwrap() };
        let terms = self.terms_at(at(&self.path));
        let payload = format!("{{\"image\":\"{}\"}}", terms.digest).into_bytes();
        let signature = self.recorded(&payload);
        let bundle = |p: &&str| Attached {
            predicate_type: (*p).to_owned(),
            bytes: format!("{{\"{p}\":\"{}\"}}", terms.digest).into(),
        };
        let publication = Publication {
            terms: &terms,
            rebuilds: &self.layout,
            bundles: PREDICATES.iter().map(bundle).collect(),
            signatures: vec![legacy::signature_layer(&payload, &signature)],
            attestations: PREDICATES[1..].iter().map(|p| legacy::attestation_layer(p.as_bytes(), p)).collect(),
            created: "2026-01-01T00:00:00Z".parse().unwrap(),
            beside: self.beside.clone(),
            replicas: self.replicas.iter().map(|path| at(path)).collect(),
        };
        local(publication.publish(client))
    }

    /// Signs once, and gives the same signature ever after.
    fn recorded(&self, payload: &[u8]) -> Vec<u8> {
        let path = self.folder.path().join(format!("signature-{}", Digest::of(payload).hex()));
        std::fs::read(&path).unwrap_or_else(|_| {
            let signature = self.key.sign(payload);
            std::fs::write(&path, &signature).unwrap();
            signature
        })
    }

    /// What is wrong with the release that the tag names, in the registry on loopback.
    pub(super) fn wrong(&self, path: &str) -> Vec<String> {
        let host = self.registry.host();
        match local(wrong(&client(&host), &self.repository(path), &self.key.public())) {
            None => vec!["nothing is named".to_owned()],
            Some(wrong) => wrong,
        }
    }

    /// Another image in the registry, under a tag.
    pub(super) fn other_image(&self, path: &str, tag: &str) -> Digest {
        let other = Self { word: "other".into(), path: path.into(), ..self.again() };
        let digest = other.terms().digest;
        other.publish().unwrap();
        self.registry.set_tag(path, tag, Some(digest)).unwrap();
        self.registry.clear_journal();
        digest
    }

    /// Somebody's `.sig` manifest, untagged.
    pub(super) fn signature_of_others(&self) -> Theirs {
        let layer = legacy::signature_layer(b"theirs", b"signature");
        let made = legacy::with_layers(None, std::slice::from_ref(&layer)).unwrap().unwrap();
        self.put(oci::MANIFEST, &made.manifest, &[&layer.bytes, &made.config]);
        Theirs { digest: Digest::of(&made.manifest), layer: layer.descriptor }
    }

    /// Somebody's index of referrers, untagged.
    pub(super) fn index_of_others(&self) -> Theirs {
        let layer = Descriptor::of(oci::INDEX, br#"{"schemaVersion":2,"manifests":[]}"#);
        self.put(oci::INDEX, br#"{"schemaVersion":2,"manifests":[]}"#, &[]);
        let index = serde_json::to_vec(&oci::Index::of(vec![layer.clone()])).unwrap();
        self.put(oci::INDEX, &index, &[]);
        Theirs { digest: Digest::of(&index), layer }
    }

    fn put(&self, kind: &str, manifest: &[u8], blobs: &[&[u8]]) {
        let (client, repository) = (client(&self.registry.host()), self.repository(&self.path));
        local(async {
            for blob in blobs {
                client.push_bytes(&repository, blob).await.unwrap();
            }
            client.push_manifest(&repository, &Digest::of(manifest).to_string(), kind, manifest).await.unwrap();
        });
    }
}

/// What a reader finds wrong with the release that `latest` names. `None`: it names nothing.
pub(super) async fn wrong(client: &Client, repository: &Repository, key: &PublicKey) -> Option<Vec<String>> {
    let (bytes, digest) = client.manifest(repository, "latest").await.unwrap()?;
    let mut wrong = Vec::new();
    let manifest = Manifest::parse(&bytes).unwrap();
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        if client.blob(repository, blob, 1 << 20).await.is_err() {
            wrong.push(format!("blob {}", blob.digest));
        }
    }
    let listed = client.referrers(repository, &digest).await.unwrap().manifests;
    let said = |m: &Descriptor| m.annotations.get("dev.sigstore.bundle.predicateType").cloned().unwrap_or_default();
    let mut found: Vec<String> = listed.iter().map(said).collect();
    found.sort();
    if found != {
        let mut all = PREDICATES.map(str::to_owned);
        all.sort();
        all
    } {
        wrong.push(format!("referrers {found:?}"));
    }
    for referrer in listed {
        let there = client.manifest(repository, &referrer.digest.to_string()).await.unwrap();
        let Some(manifest) = there.and_then(|(bytes, _)| Manifest::parse(&bytes).ok()) else {
            wrong.push(format!("referrer {}", referrer.digest));
            continue;
        };
        if client.blob(repository, &manifest.layers[0], 1 << 20).await.is_err() {
            wrong.push(format!("bundle of {}", referrer.digest));
        }
    }
    let layers = |there: Option<(Vec<u8>, Digest)>| there.map_or(vec![], |(b, _)| Manifest::parse(&b).unwrap().layers);
    let sig = layers(client.manifest(repository, &attached::legacy_tag(&digest, "sig")).await.unwrap());
    let mut valid = 0;
    for layer in &sig {
        let payload = client.blob(repository, layer, 1 << 20).await.unwrap_or_default();
        let signature = layer.annotations.get("dev.cosignproject.cosign/signature").unwrap();
        let signature: Base64 = serde_json::from_value(json!(signature)).unwrap();
        let ours = payload == format!("{{\"image\":\"{digest}\"}}").as_bytes();
        valid += usize::from(ours && key.verify(&payload, &signature.0).is_ok());
    }
    if valid != 1 {
        wrong.push(format!("{valid} valid signatures in .sig"));
    }
    let att = layers(client.manifest(repository, &attached::legacy_tag(&digest, "att")).await.unwrap());
    if att.len() != 2 {
        wrong.push(format!("{} layers in .att", att.len()));
    }
    Some(wrong)
}
