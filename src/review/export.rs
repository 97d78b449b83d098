//! `countersign export`: a release as one OCI layout that is carried by hand, with everything the other side verifies it by.
//!
//! All of it comes from the house's own store and log: nobody is asked, nothing that a registry holds is believed, and the
//! same log gives the same bytes. It stands under its name when it is whole, or not at all.

mod attached;
mod folder;
mod image;

use std::path::{Path, PathBuf};

use artifact::failure::Failure;
use artifact::layout::Layout;
use artifact::name::{Pinned, Repository, Tag};
use artifact::{Digest, durable};
use audit::entry::{Body, PromotionId, Release};
use clap::Args;
use serde::Serialize;

use super::{Read, print_json, read};
use crate::cli::Places;
use crate::status::Status;

/// Which release, and where to.
#[derive(Debug, Args)]
pub struct Export {
    /// HOST/REPO:TAG (what the log says is current), HOST/REPO@sha256:…, or a promotion: the first digits of its id, its
    /// commit or its digest.
    pub release: String,
    /// The folder to make; it must not exist yet, or be empty.
    pub dir: PathBuf,
    /// Take the image from this OCI layout, not from the comparer's store: `countersign gc` may have let it go there.
    #[arg(long, value_name = "DIR")]
    pub image: Option<PathBuf>,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written<'r> {
    folder: &'r Path,
    digest: Digest,
    repository: &'r Repository,
    tags: &'r [Tag],
    referrers: usize,
    /// The names that a copying tool carries one by one, the image's own last.
    names: Vec<String>,
    entry: u64,
}

/// Writes a release into a folder.
///
/// # Errors
/// No such release, one that was revoked, an image that is not there any more, a folder that can't be written, or a log or a
/// store that is not what was recorded.
pub fn export(places: &Places, asked: &Export) -> Result<(), Failure> {
    let read = read(places)?;
    let (index, release) = chosen(&read, &asked.release)?;
    if let Some((at, revocation)) = read.fold.people().revocation(&release.digest) {
        let text = format!("{} was revoked by entry {at}: {}", release.digest, revocation.reason);
        return Err(Failure::never("revoked", text));
    }
    let store = match &asked.image {
        Some(folder) => Layout::open(folder),
        None => Layout::open(places.state.join("public/compare/out")),
    };
    let image = image::Image::open(&store, release)?;
    let attached = attached::of(&read, release, &image)?;
    let dir = std::path::absolute(&asked.dir).map_err(|e| unwritten(&asked.dir, &e))?;
    let names = placed(&dir, |part| {
        let names = folder::layout(part, &store, release, &image, &attached)?;
        folder::beside(&part.join(folder::BESIDE), places, &read, index, release)?;
        Ok(names)
    })?;
    let written = Written {
        folder: &dir,
        digest: release.digest,
        repository: &release.repository,
        tags: &release.tags,
        referrers: attached.bundles.len(),
        names,
        entry: index,
    };
    if places.json {
        return print_json(&written);
    }
    println!("{}@{}\n{}", release.repository, release.digest, dir.display());
    println!("what it holds, and what to do with it on the other side: {}", dir.join(folder::README).display());
    Ok(())
}

/// The release that a person means, and the index of its entry.
fn chosen<'r>(read: &'r Read, text: &str) -> Result<(u64, &'r Release), Failure> {
    let usage = |e: &dyn std::fmt::Display| Failure::never(Status::USAGE, e);
    let found = if text.contains('@') {
        let pinned: Pinned = text.parse().map_err(|e| usage(&e))?;
        newest(read, |r| r.digest == pinned.digest && r.repository == pinned.repository)
    } else if let Some((repository, tag)) = text.rsplit_once(':').filter(|(place, _)| place.contains('/')) {
        let repository: Repository = repository.parse().map_err(|e| usage(&e))?;
        let tag: Tag = tag.parse().map_err(|e| usage(&e))?;
        let named = read.fold.tag(&repository, &tag);
        newest(read, |r| Some(r.digest) == named && r.repository == repository && r.tags.contains(&tag))
    } else {
        let promotion = read.promotion(text)?;
        let Some(release) = &promotion.release else {
            let text = format!("{} was not released: `countersign show` has its history", promotion.opened.promotion);
            return Err(Failure::never("not-released", text));
        };
        newest(read, |r| r == release)
    };
    let none = || {
        format!("the log has no release of {text:?} that the image key vouches for: `countersign status` lists them")
    };
    found.ok_or_else(|| Failure::never("not-found", none()))
}

/// The newest release that counts and is one of these.
fn newest(read: &Read, is: impl Fn(&Release) -> bool) -> Option<(u64, &Release)> {
    read.entries.iter().rev().find_map(|entry| match entry.body() {
        Some(Body::Release(release)) if !read.fold.void().contains_key(&entry.index) && is(release) => {
            Some((entry.index, release))
        }
        _ => None,
    })
}

/// The bodies under a promotion that count, the oldest first.
fn bodies(read: &Read, promotion: PromotionId) -> impl Iterator<Item = &Body> {
    let counts = move |entry: &&audit::reader::Entry| !read.fold.void().contains_key(&entry.index);
    let of = move |body: &&Body| body.promotion() == Some(promotion);
    read.entries.iter().filter(counts).filter_map(audit::reader::Entry::body).filter(of)
}

/// Makes a folder beside its name, and puts it in place when it is whole.
fn placed<T>(dir: &Path, make: impl FnOnce(&Path) -> Result<T, Failure>) -> Result<T, Failure> {
    let unwritten = |e| unwritten(dir, &e);
    if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::never(Status::USAGE, format!("{}: it is not empty; name a new folder", dir.display())));
    }
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(Failure::never(Status::USAGE, format!("{}: this can't be made", dir.display())));
    };
    durable::create_folder(parent).map_err(unwritten)?;
    let part = parent.join(format!(".{}.part", name.to_string_lossy()));
    // What an interrupted run left behind is nobody's.
    match std::fs::remove_dir_all(&part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(unwritten(e)),
        _ => {}
    }
    let made = make(&part);
    let placed = made.and_then(|made| {
        let renamed = std::fs::rename(&part, dir).and_then(|()| durable::sync_folder(parent));
        renamed.map(|()| made).map_err(unwritten)
    });
    if placed.is_err() {
        // The first failure is the one to tell.
        let _ = std::fs::remove_dir_all(&part);
    }
    placed
}

fn unwritten(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::never(Status::USAGE, format!("{}: {cause}", path.display()))
}
