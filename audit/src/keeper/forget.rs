//! Forgetting: bodies and salts are deleted, because people ordered it and the log says so. Every proof still holds: a leaf
//! is the hash over what is gone, and the salt keeps anybody from guessing it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use artifact::durable;
use artifact::failure::Failure;
use artifact::lane::LaneName;
use policy::order::Action;

use super::{Keeper, unwritten};
use crate::entry::{Body, Forgotten, Order};
use crate::leaf::Leaf;
use crate::pack;
use crate::reader::{self, Content, LogError};
use crate::store::Batch;
use crate::tile::WIDTH;
use crate::tiles::{self, Tiles};

impl Keeper {
    /// Deletes the bodies that the entry at this index says were forgotten. What was deleted stays so: done again after a
    /// kill at any instant, it ends the same.
    ///
    /// # Errors
    /// No such entry, no order of people that this keeper's own list knows, a body that may not go; or a disk that can't be
    /// written.
    pub fn forget(&mut self, index: u64) -> Result<(), Failure> {
        self.check(0)?;
        let forgotten = self.ordered(index).inspect_err(|e| self.lost |= e.code != NOT_ORDERED)?;
        self.delete(&forgotten.indexes).inspect_err(|_| self.lost = true)
    }

    /// The entry, once an order is behind it that counts here.
    fn ordered(&self, index: u64) -> Result<Forgotten, Failure> {
        let refused = |why: String| Failure::never(NOT_ORDERED, format!("entry {index}: {why}. Nothing was deleted"));
        let Some(Body::Forgotten(forgotten)) = self.body(index)? else {
            return Err(refused("it does not say that anything was forgotten".to_owned()));
        };
        let order = match self.body(forgotten.order).ok().flatten() {
            Some(Body::Order(order)) if forgotten.order < index => order,
            _ => return Err(refused(format!("there is no order at {}", forgotten.order))),
        };
        self.judge(&order, &forgotten).map_err(refused)?;
        for gone in &forgotten.indexes {
            let kind = match self.leaf(*gone)? {
                Leaf::Ours(commitment) if *gone < forgotten.order => commitment.kind(),
                _ => return Err(refused(format!("entry {gone} is none of ours from before the order"))),
            };
            if !Body::may_be_forgotten(kind) {
                let name = Body::name_of(kind).unwrap_or("unknown");
                return Err(refused(format!("entry {gone} is a {name}, which is never forgotten")));
            }
        }
        Ok(forgotten)
    }

    fn judge(&self, order: &Order, forgotten: &Forgotten) -> Result<(), String> {
        let rules = self.orders.as_ref().ok_or("keeper.toml has no [orders]: nobody may order it here")?;
        let says = order.sound().map_err(|e| format!("its order: {e}"))?;
        if says.lane != LaneName::Public {
            return Err(format!("its order is for the lane {}", says.lane));
        }
        if !matches!(&says.action, Action::Forget { indexes } if *indexes == forgotten.indexes) {
            return Err("its order is one for something else".to_owned());
        }
        let signatures: Vec<_> = order.signatures.iter().map(|s| s.signature.0.clone()).collect();
        rules
            .signers(&says, &order.statement.0, &signatures, order.at)
            .map(drop)
            .map_err(|e| format!("its order, by keeper.toml: {e}"))
    }

    fn body(&self, index: u64) -> Result<Option<Body>, LogError> {
        match reader::entry(&self.tiles, self.edge.size(), index)? {
            Content::Ours { body, .. } => Ok(Some(body)),
            Content::Rekor(_) | Content::Forgotten(_) => Ok(None),
        }
    }

    fn leaf(&self, index: u64) -> Result<Leaf, LogError> {
        let (_, leaves) = Tiles::new(&self.tiles, self.edge.size()).bundle(index / WIDTH as u64)?;
        Leaf::parse(&leaves[(index % WIDTH as u64) as usize]).map_err(|cause| LogError::Entry { index, cause })
    }

    fn delete(&mut self, indexes: &[u64]) -> Result<(), Failure> {
        let (full, mut packs) = (self.edge.size() / WIDTH as u64, BTreeMap::<u64, Vec<usize>>::new());
        for index in indexes {
            packs.entry(index / WIDTH as u64).or_default().push((index % WIDTH as u64) as usize);
        }
        let mut batch = Batch::default();
        for (n, slots) in packs {
            if n == full {
                slots.into_iter().for_each(|slot| self.tail.slots[slot] = None);
                continue;
            }
            let (path, found) = Tiles::new(&self.tiles, self.edge.size()).pack(n)?;
            let mut kept = found.ok_or_else(|| tiles::broken(&path, "missing"))?;
            slots.into_iter().for_each(|slot| kept[slot] = None);
            batch.put(path, pack::to_bytes(&kept));
        }
        self.store.write(batch).map_err(|e| unwritten(&self.tiles, &e))?;
        let apart = indexes.iter().map(|index| self.apart(*index)).collect::<Result<Vec<_>, _>>()?;
        let folder = self.tiles.join("body");
        let remove = |path: &PathBuf| removed(path).map_err(|e| unwritten(path, &e));
        apart.iter().flatten().try_for_each(remove)?;
        self.strays()?.iter().try_for_each(remove)?;
        durable::sync_folder(&folder).map_err(|e| unwritten(&folder, &e))
    }

    /// Where an entry's body lies if it lies apart; it may do so beside its pack, when an earlier run was interrupted.
    fn apart(&self, index: u64) -> Result<Option<PathBuf>, LogError> {
        Ok(match self.leaf(index)? {
            Leaf::Ours(commitment) => Some(self.tiles.join(tiles::body_path(commitment.digest()))),
            Leaf::Rekor(_) => None,
        })
    }

    /// What interrupted appends left behind: the same text may have been written down again, with another salt.
    fn strays(&self) -> Result<Vec<PathBuf>, LogError> {
        let (mut parts, mut named) = (Vec::new(), BTreeSet::new());
        let folder = self.tiles.join("body");
        walk(&folder, &mut |path| match path.file_name().and_then(|n| n.to_str()) {
            Some(name) if name.ends_with(".part") => parts.push(path.to_owned()),
            Some(name) if name.len() == 64 => drop(named.insert(name.to_owned())),
            _ => {}
        })
        .map_err(|cause| LogError::Io { path: folder.clone(), cause })?;
        let log = Tiles::new(&self.tiles, self.edge.size());
        for n in 0..self.edge.size().div_ceil(WIDTH as u64) {
            for leaf in log.bundle(n)?.1 {
                if let Ok(Leaf::Ours(commitment)) = Leaf::parse(&leaf) {
                    named.remove(&commitment.digest().hex());
                }
            }
        }
        parts.extend(named.into_iter().map(|name| folder.join(name)));
        Ok(parts)
    }
}

/// What is asked for was not ordered.
const NOT_ORDERED: &str = "forget-not-ordered";

fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), each)?,
            false => each(&entry.path()),
        }
    }
    Ok(())
}
