//! The image that CI left: pulled apart from the dossier, into a store that the builder never sees.

use artifact::failure::{Failure, Retry};
use artifact::layout::Layout;
use artifact::name::{Pinned, Repository};
use artifact::{CommitId, Digest};
use registry::{Client, RegistryError};

/// The manifest that stands under a commit's tag now. The digest is computed from its bytes; `None`: there is none.
///
/// What stands there and can't be used is named all the same, or counts as none when it has no digest: a promotion is
/// then opened, [`pull`] says in it what is wrong, and that is recorded.
pub(crate) async fn look(client: &Client, staging: &Repository, commit: &CommitId) -> Result<Option<Digest>, Failure> {
    let found = match client.resolve(staging, commit.as_str()).await {
        Err(e) if e.retry() == Retry::Never => client.manifest(staging, commit.as_str()).await,
        found => found,
    };
    match found {
        Err(e) if e.retry() == Retry::Never => Ok(None),
        found => Ok(found.map_err(|e| failed(&e))?.map(|(_, digest)| digest)),
    }
}

/// Pulls the image under a commit's tag, whole. `None`: there is none.
pub(crate) async fn pull(
    client: &Client,
    staging: &Repository,
    commit: &CommitId,
    store: &Layout,
) -> Result<Option<Pinned>, Failure> {
    let found = client.resolve(staging, commit.as_str()).await.map_err(|e| failed(&e))?;
    let Some((_, digest)) = found else { return Ok(None) };
    let pulled = client.pull_image(staging, &digest, store).await.map_err(|e| failed(&e))?;
    let name = format!("{}-{commit}", staging.path().replace('/', "-"));
    store.tag(&pulled.manifest, &name).map_err(|e| Failure::later("intake-store", e))?;
    Ok(Some(Pinned { repository: staging.clone(), digest: pulled.manifest.digest }))
}

fn failed(error: &RegistryError) -> Failure {
    match error.retry() {
        Retry::Later => Failure::later("candidate-unavailable", error),
        Retry::Never => Failure::never("candidate-refused", error),
        Retry::Halt => Failure::halt("intake-store", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Ground, local};

    #[test]
    fn the_image_under_the_commits_tag_is_pulled_and_a_missing_one_is_no_error() {
        let ground = Ground::new();
        let commit: CommitId = "00000000000000000000000000000000000000aa".parse().unwrap();
        let staging = ground.staging("ci/hello");
        local(async {
            let client = ground.client();
            assert_eq!(pull(&client, &staging, &commit, &ground.candidates()).await.unwrap(), None);
            let digest = ground.push_image(&staging, commit.as_str(), "candidate").await;
            let pulled = pull(&client, &staging, &commit, &ground.candidates()).await.unwrap().unwrap();
            assert_eq!(pulled.digest, digest);
            assert!(ground.candidates().has(&digest));
            assert_eq!(look(&client, &staging, &commit).await.unwrap(), Some(digest));
            ground.push_garbage(&staging, commit.as_str()).await;
            // It is named, so that its refusal can be recorded.
            let garbage = look(&client, &staging, &commit).await.unwrap();
            assert!(garbage.is_some() && garbage != Some(digest));
            let error = pull(&client, &staging, &commit, &ground.candidates()).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.retry), ("candidate-refused", Retry::Never));
        });
        let client = ground.client();
        let (staging, candidates) = (staging, ground.candidates());
        ground.stop_registry();
        let error = local(pull(&client, &staging, &commit, &candidates)).unwrap_err();
        assert_eq!((error.code.as_str(), error.retry), ("candidate-unavailable", Retry::Later));
    }
}
