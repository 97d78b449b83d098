//! What promotion costs after the build: signing, two attestations, the log, a push of 60 MB, the tag; against a shell that does
//! the same with skopeo and cosign, with the same key in the same Vault, to the same registry.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use demo::Vault;
use demo::base::Base;
use demo::command::run;
use demo::forge::Source;
use demo::perimeter::Kept;
use demo::project::recipe;
use demo::trouble::{During as _, Trouble};
use demo::vault::KEY;
use demo::world::{Line, World};
use serde_json::json;
use signer::key::ImageKey as _;
use signer::vault::settings::VaultSettings;
use signer::vault::{Session, TransitKey};

use crate::append::peer;
use crate::measure::{median, seconds, table, time};

/// The bytes that nothing can compress.
const SIZE: usize = 60_000_000;
/// The role, and its policy.
const ROLE: &str = "countersign-signer";
/// The messages of one batch.
const BATCH: usize = 64;

/// Ours and the shell, in turn.
///
/// # Errors
/// When a peer can't be had, or a promotion does not end well.
pub fn measure(rounds: usize) -> Result<(), Trouble> {
    let folder = tempfile::tempdir().during("a folder for a perimeter")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).during("its mode")?;
    let vault = Vault::start(&folder.path().join("vault"))?;
    fs::set_permissions(folder.path().join("vault"), fs::Permissions::from_mode(0o755)).during("its mode")?;
    let mut world = World::start(&folder.path().join("world"))?;
    let base = world.base(Base::Tiny)?;
    let line = world.project("app", &[&base], |_| {})?;
    world.settings.kept = vault.kept("vault-transit", ROLE)?;
    world.configure()?;
    vault.policy(ROLE, &run(&mut world.perimeter.command(&["vault", "policy"]))?.stdout)?;
    world.keys()?;
    let shell = Shell::new(folder.path(), &vault)?;
    let steps = ["cp blob \"$OUT/blob\""];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut released_before = artifact::Digest::of(b"");
    for number in 0..rounds {
        let mut content = vec![0; SIZE];
        getrandom::fill(&mut content).map_err(Trouble::wrong)?;
        let blob = Source { path: "blob".to_owned(), content, executable: false };
        let sources = [blob, recipe(&base, &steps, &["/bin/true"], &[])];
        let commit = line.forge.commit(&sources, &format!("number {number}"), Some(&world.developer))?;
        let candidate = world.green(&line, &commit)?;
        // A Vault that is sealed stops the pass when everything is built, compared, permitted and recorded.
        vault.seal()?;
        let built = world.perimeter.once()?;
        if built.status != 3 {
            return Err(Trouble::wrong(format!("a pass without Vault ended with {}: {}", built.status, built.stderr)));
        }
        vault.unseal()?;
        ours.push(time(&world.perimeter.command(&["once"]))?.0);
        let released = world.production.tags("prod/app").get("latest").copied();
        if released != Some(candidate.image.digest) || candidate.image.digest == released_before {
            return Err(Trouble::wrong(format!("production names {released:?} after round {number}")));
        }
        released_before = candidate.image.digest;
        theirs
            .push(time(&shell.command(&line, candidate.layout.root(), &candidate.image.digest.to_string(), number))?.0);
    }
    table(
        &format!("promotion after the build, {rounds} rounds, an image of {} MB", SIZE / 1_000_000),
        &[("ours, the whole pass", ours), ("skopeo copy, cosign sign, attest twice", theirs)],
    );
    signatures(&vault, &world.settings.kept, rounds)
}

/// The shell.
struct Shell {
    script: PathBuf,
    predicate: PathBuf,
    cosign: PathBuf,
    address: String,
    ca: PathBuf,
    token: String,
}

impl Shell {
    fn new(folder: &Path, vault: &Vault) -> Result<Self, Trouble> {
        let (script, predicate) = (folder.join("promote.sh"), folder.join("predicate.json"));
        let text = "set -e\n\
            skopeo copy --quiet --preserve-digests --dest-tls-verify=false oci:$1 docker://$2:$4\n\
            sign=\"--yes --use-signing-config=false --tlog-upload=false --allow-http-registry --key hashivault://$KEY\"\n\
            $COSIGN sign $sign $2@$3\n\
            $COSIGN attest $sign --type slsaprovenance1 --predicate $PREDICATE $2@$3\n\
            $COSIGN attest $sign --type https://slsa.dev/verification_summary/v1 --predicate $PREDICATE $2@$3\n";
        fs::write(&script, text).during(script.display())?;
        fs::write(&predicate, json!({"buildDefinition": {"buildType": "x"}, "runDetails": {}}).to_string())
            .during(predicate.display())?;
        let cosign = peer("cosign")?.join("cosign");
        let (address, ca, token) = (vault.address(), vault.ca(), vault.root_token().to_owned());
        Ok(Self { script, predicate, cosign, address, ca, token })
    }

    fn command(&self, line: &Line, layout: &Path, digest: &str, number: usize) -> Command {
        let mut command = Command::new("sh");
        let host = line.release.registry();
        command.arg(&self.script).arg(layout).args([&format!("{host}/peer/app-{number}"), digest, "latest"]);
        command.env("COSIGN", &self.cosign).env("PREDICATE", &self.predicate).env("KEY", KEY);
        command.env("VAULT_ADDR", &self.address).env("VAULT_CACERT", &self.ca).env("VAULT_TOKEN", &self.token);
        command
    }
}

/// Signatures a second, as the signer asks for them: one request each, and one request for many.
fn signatures(vault: &Vault, kept: &Kept, rounds: usize) -> Result<(), Trouble> {
    #[derive(serde::Deserialize)]
    struct Written {
        vault: VaultSettings,
    }
    let Written { vault: settings } = artifact::settings::parse(&kept.vault).map_err(Trouble::wrong)?;
    let session = Session::open(&settings).map_err(Trouble::wrong)?;
    let transit = settings.transit.as_ref().ok_or_else(|| Trouble::wrong("no transit engine"))?;
    let key = TransitKey::open(&session, transit).map_err(Trouble::wrong)?;
    let messages: Vec<Vec<u8>> = (0..BATCH).map(|number| format!("message {number}").into_bytes()).collect();
    let (mut single, mut batched) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        for message in &messages {
            key.sign(std::slice::from_ref(message), "single").map_err(Trouble::wrong)?;
        }
        single.push(BATCH as f64 / seconds(start.elapsed()));
        let start = Instant::now();
        key.sign(&messages, "batched").map_err(Trouble::wrong)?;
        batched.push(BATCH as f64 / seconds(start.elapsed()));
    }
    let (single, batched) = (median(single), median(batched));
    println!("\nsignatures a second by {}: single {single:.0}, in batches of {BATCH} {batched:.0}", vault.address());
    session.end().map_err(Trouble::wrong)
}
