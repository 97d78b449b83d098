//! The commit's own signature, checked against the allowed signers from the raw commit object. Intake checks it, and the
//! signer checks it again: it is what a broken intake can't make up.

use artifact::Moment;
use artifact::git::Commit;
use artifact::statement::facts::CommitSignature;
use artifact::words::one_line;
use ssh_key::{PublicKey, SshSig};

use crate::allowed_signers::AllowedSigners;

/// The namespace in which git signs.
const NAMESPACE: &str = "git";

/// Why a commit's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is none.
    #[error("the commit carries no signature")]
    None,
    /// An OpenPGP or X.509 signature, or a broken one.
    #[error("the commit's signature is no SSH signature: {0}")]
    NotSsh(String),
    /// The signature is not that key's over this commit.
    #[error("the commit's signature does not verify")]
    Wrong,
    /// A good signature by a key that is on no line, or not for git, or not at that time.
    #[error("the commit is signed with {0}, which no line of allowed_signers accepts for git at the commit's time")]
    NotAllowed(String),
}

/// Verifies a commit's SSH signature.
///
/// The signer's validity is asked for at the committer's time, as git does; that time is under the signature.
///
/// # Errors
/// Unsigned, another kind of signature, a wrong one, or a signer who is not on the list.
pub fn verify_commit(commit: &Commit, allowed: &AllowedSigners) -> Result<CommitSignature, SourceError> {
    let armoured = commit.signature.as_deref().ok_or(SourceError::None)?;
    let signature = SshSig::from_pem(armoured.trim_end()).map_err(|e| SourceError::NotSsh(one_line(&e.to_string())))?;
    let key = PublicKey::new(signature.public_key().clone(), "");
    key.verify(NAMESPACE, &commit.signed, &signature).map_err(|_| SourceError::Wrong)?;
    let fingerprint = key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    let at = Moment::from_unix(commit.committed).ok_or_else(|| SourceError::NotAllowed(fingerprint.clone()))?;
    let principal = allowed.principal(key.key_data(), NAMESPACE, at).ok_or(SourceError::NotAllowed(fingerprint))?;
    Ok(CommitSignature { scheme: "ssh".to_owned(), principal: principal.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use artifact::git::{Kind, object_id};

    use super::*;

    /// A commit object signed with ssh-keygen, as git does it.
    fn signed(folder: &std::path::Path, key: &str, namespace: &str) -> Commit {
        let head = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@x> 1790000000 +0000\ncommitter A <a@x> 1790000000 +0000\n";
        let message = "\nword\n";
        let mut child = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f", key])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{head}{message}").as_bytes()).unwrap();
        let armoured = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let folded = armoured.trim_end().replace('\n', "\n ");
        let content = format!("{head}gpgsig {folded}\n{message}").into_bytes();
        let like = "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap();
        Commit::parse(&object_id(&like, Kind::Commit, &content), &content).unwrap()
    }

    fn keygen(folder: &std::path::Path, name: &str, kind: &str) -> String {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-C", name, "-f", name])
            .current_dir(folder)
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap()
    }

    #[test]
    fn a_commit_counts_when_an_allowed_signer_signed_it_for_git() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let ann = keygen(folder, &format!("ann-{kind}"), kind);
            let ben = keygen(folder, &format!("ben-{kind}"), kind);
            let allowed = AllowedSigners::parse(&format!("ann@x namespaces=\"git\" {ann}")).unwrap();
            let commit = signed(folder, &format!("ann-{kind}"), "git");
            assert_eq!(verify_commit(&commit, &allowed).unwrap().principal, "ann@x", "{kind}");
            let others = AllowedSigners::parse(&format!("ben@x {ben}")).unwrap();
            assert!(matches!(verify_commit(&commit, &others), Err(SourceError::NotAllowed(_))));
            let late = AllowedSigners::parse(&format!("ann@x valid-before=20200101Z {ann}")).unwrap();
            assert!(matches!(verify_commit(&commit, &late), Err(SourceError::NotAllowed(_))));
            let mut altered = commit.clone();
            altered.signed.push(b'!');
            assert_eq!(verify_commit(&altered, &allowed), Err(SourceError::Wrong));
            let file = signed(folder, &format!("ann-{kind}"), "file");
            assert_eq!(verify_commit(&file, &allowed), Err(SourceError::Wrong));
        }
    }

    #[test]
    fn an_unsigned_commit_and_another_kind_of_signature_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        keygen(folder.path(), "ann", "ed25519");
        let mut commit = signed(folder.path(), "ann", "git");
        commit.signature = Some("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----".to_owned());
        assert!(matches!(verify_commit(&commit, &AllowedSigners::default()), Err(SourceError::NotSsh(_))));
        commit.signature = None;
        assert_eq!(verify_commit(&commit, &AllowedSigners::default()), Err(SourceError::None));
    }
}
