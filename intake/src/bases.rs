//! Base images: those that the recipe asks for and the operator allows, whole, by digest.

use artifact::dossier::Base;
use artifact::failure::{Failure, Retry};
use artifact::layout::Layout;
use artifact::name::Pinned;
use artifact::recipe::Recipe;
use registry::{Client, Fault, RegistryError};

/// Every image that a recipe asks for.
pub(crate) fn asked(recipe: &Recipe) -> Vec<Pinned> {
    recipe.bases().into_iter().cloned().collect()
}

/// Pulls the bases that `allowed` lets through. What it does not let through is left out, and no registry hears of it: the
/// facts name it all the same, and policy refuses it by its own code.
pub(crate) async fn pull(
    client: &Client,
    asked: &[Pinned],
    allowed: impl Fn(&Pinned) -> bool,
    store: &Layout,
) -> Result<Vec<Base>, Failure> {
    let mut bases = Vec::new();
    for pinned in asked.iter().filter(|b| allowed(b)) {
        let pulled = client.pull_image(&pinned.repository, &pinned.digest, store).await;
        let pulled = pulled.map_err(|e| failed(pinned, &e))?;
        bases.push(Base {
            pinned: pinned.clone(),
            index: pulled.index,
            manifest: pulled.manifest,
            config: pulled.config,
            layers: pulled.layers,
        });
    }
    Ok(bases)
}

fn failed(pinned: &Pinned, error: &RegistryError) -> Failure {
    let text = format!("base {pinned}: {error}");
    match (error.fault(), error.retry()) {
        // An answer, not a silence: the next commit may ask for another one, and must not wait for this.
        (Fault::Missing, _) => Failure::never("base-missing", format!("{text}; push it there, or correct the recipe")),
        (_, Retry::Later) => Failure::later("base-unavailable", text),
        (_, Retry::Never) => Failure::never("base-refused", text),
        (_, Retry::Halt) => Failure::halt("intake-store", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Ground, local};
    use artifact::Digest;

    #[test]
    fn bases_are_pulled_when_allowed_and_otherwise_nobody_is_asked() {
        let ground = Ground::new();
        let repository = ground.staging("bases/b");
        local(async {
            let digest = ground.push_image(&repository, "b", "base").await;
            let ours = Pinned { repository: repository.clone(), digest };
            let elsewhere = Pinned { repository: "r.invalid/x".parse().unwrap(), digest };
            let client = ground.client();
            let both = [ours.clone(), elsewhere.clone()];
            let pulled = pull(&client, &both, |b| *b == ours, &ground.store()).await.unwrap();
            assert_eq!(pulled.len(), 1);
            assert_eq!(pulled[0].manifest.digest, digest);
            let error = pull(&client, &both, |_| true, &ground.store()).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.retry), ("base-unavailable", Retry::Later));
            let missing = Pinned { repository, digest: Digest::of(b"missing") };
            let error = pull(&client, &[missing], |_| true, &ground.store()).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.retry), ("base-missing", Retry::Never));
        });
    }
}
