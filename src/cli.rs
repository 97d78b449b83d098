//! The command line. What each command does stands in its module; here is only how it is spelled.

use std::path::PathBuf;

use artifact::CommitId;
use artifact::name::ProjectName;
use clap::{Args, Parser, Subcommand};

use crate::review::{Filter, RECONCILE, Reconcile};

/// Rebuilds what external CI says is green, shows that the result is the same, and countersigns it.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    propagate_version = true,
    max_term_width = 110,
    after_help = "Exit status: 0 done; 1 refused, or something from outside did not verify; 2 usage or configuration;\n\
                  3 unavailable, try again; 4 our own stored state is not what we recorded: stopped, a person must look.\n\n\
                  First steps: countersign init DIR, edit what it wrote, countersign keys, countersign once."
)]
pub struct Cli {
    /// Where things are, and how to print.
    #[command(flatten)]
    pub places: Places,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where things are, and how to print.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// The folder of the configuration.
    #[arg(long, global = true, value_name = "DIR", env = "COUNTERSIGN_CONFIG", default_value = "/etc/countersign")]
    pub config: PathBuf,
    /// The folder of the state: stores, the log, each room's own.
    #[arg(long, global = true, value_name = "DIR", env = "COUNTERSIGN_STATE", default_value = "/var/lib/countersign")]
    pub state: PathBuf,
    /// Print JSON, one document, for programs.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented configuration into a folder that does not exist yet, or is empty.
    Init {
        /// The folder.
        dir: PathBuf,
    },
    /// Have each room make its key, and pin their public keys in keys.toml.
    ///
    /// The first time it writes keys.toml; later it compares, and a key that changed is an error. Verifiers need the
    /// same keys: see trust.toml in docs/operations.md. After an order to rotate the image key was carried out, it moves the
    /// key of before to the retired ones and pins the other one, as the log says.
    Keys {
        /// Print the public key of this version of the image key instead, for an order to rotate to it.
        ///
        /// A key in a file is made when it is the next one; in Vault it must be there.
        #[arg(long, value_name = "N")]
        key_version: Option<u64>,
    },
    /// One pass: look at each project's branch and promote what is green.
    ///
    /// A promotion that was interrupted goes on where it was. What is released or refused already is left alone.
    Once(Once),
    /// Let go of dossiers, candidates and rebuilds that nothing needs any more, by a recorded act.
    ///
    /// What an unfinished promotion needs stays, and so does every dossier of a release: a replay needs it. Releases and
    /// decisions are in the log, which never shrinks. The oldest go first.
    Gc(Gc),
    /// Build a commit by its recipe, as the perimeter will: same recipe, same bytes. Needs no configuration.
    Build(Build),
    /// What was promoted, what was refused, and what is in flight.
    Status,
    /// The history of one promotion.
    Show {
        /// The promotion's id, or the first digits of it, of its commit or of a digest in it.
        id: String,
    },
    /// Why a promotion was refused: the cause first, then what would mend it.
    Explain {
        /// As for show.
        id: String,
    },
    /// Write an order, a statement that people sign with their SSH keys.
    #[command(subcommand)]
    Order(crate::order::Ordered),
    /// The log.
    #[command(subcommand)]
    Log(Log),
    /// What verifiers elsewhere are handed. Holds no secret.
    #[command(subcommand)]
    Trust(Trust),
    /// What Vault or OpenBao must let the signer do.
    #[command(subcommand)]
    Vault(Vault),
    /// Write a release as one OCI layout to carry by hand: the image, its bundles and older signatures, keys and proofs.
    ///
    /// It is made from the comparer's store and the log, without asking any registry: that works with no network, and a
    /// registry that was tampered with has no say in it. The same log gives the same bytes; the layout's own part depends on
    /// the release alone. README.md in the folder says how the other side verifies it and copies it into a registry.
    Export(crate::review::Export),
    /// Write what is current for a project as one file for deployers to poll: countersign-verify current checks it offline.
    ///
    /// It holds the image key's word that the image may be named so, the log's entry of the release, and the receipts of both
    /// under the newest checkpoint. It can't show that no later entry says otherwise: it is as new as its checkpoint, which only
    /// witnesses date. Write it again after each pass, also when nothing was released.
    Current(crate::review::Hand),
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder.
    Man {
        /// The folder.
        dir: PathBuf,
    },
    /// Started by the launcher, never by hand.
    #[command(hide = true)]
    Coordinate,
}

/// Which commits one pass looks at.
#[derive(Debug, Args)]
pub struct Once {
    /// This project only.
    #[arg(long, value_name = "NAME")]
    pub project: Option<ProjectName>,
    /// This commit, in full, instead of the branch's head.
    #[arg(long, value_name = "ID", requires = "project")]
    pub commit: Option<CommitId>,
}

/// What may go.
#[derive(Debug, Args)]
pub struct Gc {
    /// What ended more than so many days ago goes.
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(0..=36_500))]
    pub older_than: u64,
    /// When the stores still hold more than so many MiB, what ended later goes as well.
    #[arg(long, value_name = "MIB")]
    pub max_mib: Option<u64>,
    /// Say what would go, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Gc {
    /// As the coordinator is told.
    pub fn words(&self, json: bool) -> [String; 5] {
        [
            "gc".to_owned(),
            if json { "json" } else { "text" }.to_owned(),
            self.older_than.to_string(),
            self.max_mib.map(|mib| mib.to_string()).unwrap_or_default(),
            if self.dry_run { "dry-run" } else { "remove" }.to_owned(),
        ]
    }
}

/// What to build, and where to leave it.
#[derive(Debug, Args)]
pub struct Build {
    /// The git repository. Its committed state is built, never the work tree.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The commit, in full. Default: HEAD.
    #[arg(long, value_name = "ID")]
    pub commit: Option<CommitId>,
    /// Leave the image here, as an OCI layout; the folder must not exist yet.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Talk plain HTTP to this registry; loopback addresses only.
    #[arg(long, value_name = "HOST:PORT")]
    pub registry_plain_http: Vec<String>,
    /// The OCI runtime.
    #[arg(long, value_name = "NAME", default_value = "runc")]
    pub runtime: String,
    /// Accept this version of the runtime by name, although something is known against it or nothing is known of it.
    #[arg(long, value_name = "NAME VERSION")]
    pub accept_runtime: Vec<String>,
}

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum Log {
    /// List its entries, the newest last. Filters hold together: an entry is listed when it passes all of them.
    List(Filter),
    /// Print one entry in full; of a change of the configuration, what changed.
    Show {
        /// Its index.
        index: u64,
    },
    /// Write one entry and its receipt, for somebody who has nothing else: INDEX.entry and INDEX.tlog-proof.
    ///
    /// The receipt is a C2SP tlog-proof; the entry is the salt and the body, or the leaf. countersign-verify proof checks
    /// them offline.
    Prove {
        /// Its index.
        index: u64,
        /// The folder to write them into.
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Check everything, and say what was not checked.
    Verify {
        /// A checkpoint that was kept: the log must begin with what it says.
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
    },
    /// Lay Vault's audit log beside this one: each signature of the image key belongs to exactly one recorded attempt.
    #[command(after_help = RECONCILE)]
    Reconcile(Reconcile),
}

/// What Vault must let the signer do.
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Print the policy of the signer's role, by [vault] in signer.toml: what it needs, and nothing else.
    #[command(after_help = "For a role that logs in by AppRole:\n\n  \
                      countersign vault policy | bao policy write countersign-signer -\n  \
                      bao write auth/approle/role/countersign-signer token_policies=countersign-signer \\\n    \
                      token_no_default_policy=true token_ttl=10m\n\n\
                      The signer measures its token at each job, and refuses one that can do more: a root token, a second \
                      policy, Vault's default policy, a wildcard. vault works in place of bao.")]
    Policy,
}

/// What to hand to verifiers.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Print trust.toml for countersign-verify: the keys of keys.toml, and the names in signer.toml and compare.toml.
    ///
    /// Where the log can be read (log_source, for the currency of tags) and the registries are the verifier's own business:
    /// add them there.
    Show,
    /// Write a Sigstore trusted_root.json with this log as the only one, for cosign and other stock verifiers.
    ///
    /// With it they check, offline, that a release's signature is in the log. It holds the log's key and no other.
    #[command(after_help = "For whoever verifies, with the image key (image in keys.toml) as image.pub:\n\n  \
                      countersign trust export --out trusted_root.json\n  \
                      cosign verify --key image.pub --trusted-root trusted_root.json REPO@sha256:…\n  \
                      cosign verify-attestation --key image.pub --trusted-root trusted_root.json \\\n    \
                      --type slsaprovenance1 REPO@sha256:…\n\n\
                      cosign takes the log only when its origin (keeper.toml) is a plain host name: log.example.org.")]
    Export {
        /// Where to write it. Default: standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
