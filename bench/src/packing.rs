//! The packer: from a file system to a compressed layer with both digests, against tools that do the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use artifact::layout::Layout;
use builder::flatten::Flattener;
use builder::pack;
use builder::tree::Scratch;
use demo::command::run;
use demo::trouble::{During as _, Trouble};
use demo::{apt, cache};
use nix::sys::resource::{UsageWho, getrusage};

use crate::measure::{Cost, seconds, size, table, time};

/// A tar of Debian with compilers, interpreters and their documentation: 400 MB of what images hold.
fn base() -> Result<PathBuf, Trouble> {
    const PACKAGES: &str =
        "base-files,bash,coreutils,g++,git,libpython3-stdlib,make,perl,python3,vim-runtime,manpages-dev";
    let folder = cache::kept("bases", "bench-2", |folder| {
        println!("making a base of 400 MB, once");
        let mut command = Command::new("mmdebstrap");
        command.env("SOURCE_DATE_EPOCH", "1735689600");
        command.args(["--quiet", "--mode=chrootless", "--variant=extract"]).arg(format!("--include={PACKAGES}"));
        let full = folder.join("full.tar");
        run(command.arg("bookworm").arg(&full).arg(format!("deb {} bookworm main", apt::mirror()?)))?;
        // Device nodes are a sandbox's business.
        run(Command::new("tar").args(["--delete", "--wildcards", "-f"]).arg(&full).arg("./dev/*"))?;
        fs::rename(&full, folder.join("base.tar")).during("the base")
    })?;
    Ok(folder.join("base.tar"))
}

/// Ours, and then the others, in turn.
///
/// # Errors
/// When a command fails, or two of our digests differ.
pub fn measure(rounds: usize) -> Result<(), Trouble> {
    let tar = base()?;
    let folder = tempfile::tempdir().during("a folder for packing")?;
    let place = |name: &str| folder.path().join(name);
    let rootfs = place("rootfs");
    fs::create_dir(&rootfs).during("a root file system")?;
    run(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&rootfs))?;
    let buildah = Buildah { root: place("storage"), run: place("run") };
    buildah.prepare(&tar)?;

    let names =
        ["ours, from a tree", "ours, reading the tar first", "buildah push", "umoci insert", "tar | pigz, digests"];
    let mut costs: [Vec<Cost>; 5] = Default::default();
    let mut digests = Vec::new();
    for _ in 0..rounds {
        let (whole, inner, digest) = ours(&tar, &place("ours"), 0)?;
        digests.push(digest);
        costs[0].push(inner);
        costs[1].push(whole);
        costs[2].push(emptied(&place("buildah"), |out| buildah.push(out))?);
        costs[3].push(emptied(&place("umoci"), |out| umoci(&rootfs, out))?);
        costs[4].push(emptied(&place("pigz"), |out| pigz(&rootfs, out))?);
    }
    let mib = fs::metadata(&tar).during("the base")?.len() >> 20;
    table(&format!("packing {mib} MiB, median of {rounds}"), &Vec::from_iter(names.into_iter().zip(costs)));
    for threads in [1, 2, 3, 16] {
        digests.push(ours(&tar, &place("ours"), threads)?.2);
    }
    digests.dedup();
    let [digest] = &digests[..] else { return Err(Trouble::wrong(format!("digests differ: {digests:?}"))) };
    println!("the same digest in every run, with 1, 2, 3 and 16 threads: {digest}");
    flat(&place("flat"))
}

/// Memory, while the image grows.
fn flat(folder: &Path) -> Result<(), Trouble> {
    println!("\npeak memory while one file grows");
    fs::create_dir_all(folder).during("a folder")?;
    for mib in [50_u64, 500, 2_000] {
        let big = folder.join("big");
        run(Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("yes countersign | head -c {} > \"$0\"", mib << 20))
            .arg(&big))?;
        let tar = folder.join("big.tar");
        run(Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&tar).arg("big"))?;
        let (whole, ..) = ours(&tar, &folder.join("ours"), 2)?;
        println!("{mib:6} MiB of content: {:5.1} MiB", whole.peak);
    }
    Ok(())
}

/// This program again, as `pack`.
fn ours(tar: &Path, work: &Path, threads: usize) -> Result<(Cost, Cost, String), Trouble> {
    let own = std::env::current_exe().during("finding this program")?;
    let mut command = Command::new(own);
    command.arg("pack").arg(tar).arg(work).arg(threads.to_string());
    let mut printed = String::new();
    let whole = emptied(work, |_| {
        let (cost, said) = time(&command)?;
        printed = said;
        Ok(cost)
    })?;
    let words: Vec<&str> = printed.split_whitespace().collect();
    let [wall, cpu, mib, digest] = words[..] else { return Err(Trouble::wrong(printed)) };
    let number = |word: &str| word.parse::<f64>().map_err(Trouble::wrong);
    let inner = Cost { wall: number(wall)?, cpu: number(cpu)?, peak: whole.peak, size: number(mib)? };
    Ok((Cost { size: inner.size, ..whole }, inner, digest.to_owned()))
}

/// Reads a tar as the comparer does, packs what it holds, and prints wall and processor seconds of packing, the size and
/// the digest of the layer.
///
/// # Errors
/// When the tar can't be read, or the folder not written.
pub fn pack(tar: &Path, work: &Path, threads: usize) -> Result<(), Trouble> {
    let scratch = Scratch::new(work.join("scratch")).during("scratch")?;
    let mut flattener = Flattener::new(&scratch);
    let file = std::io::BufReader::with_capacity(1 << 20, File::open(tar).during(tar.display())?);
    flattener.apply_plain(file).map_err(Trouble::wrong)?;
    let tree = flattener.finish();
    let store = Layout::create(work.join("store")).map_err(Trouble::wrong)?;
    let (start, used) = (Instant::now(), processor()?);
    let packed = pack::pack(&tree, &scratch, 1_735_689_600, threads, &store).map_err(Trouble::wrong)?;
    let (wall, cpu) = (start.elapsed(), processor()? - used);
    let mib = packed.layer.size as f64 / f64::from(1 << 20);
    println!("{} {} {mib} {}", seconds(wall), seconds(cpu), packed.layer.digest);
    Ok(())
}

fn processor() -> Result<Duration, Trouble> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).map_err(Trouble::wrong)?;
    let of = |time: nix::sys::time::TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000);
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

/// Runs with a folder that is not there before, and goes after.
fn emptied(folder: &Path, measured: impl FnOnce(&Path) -> Result<Cost, Trouble>) -> Result<Cost, Trouble> {
    let _ = fs::remove_dir_all(folder);
    let cost = measured(folder)?;
    fs::remove_dir_all(folder).during(folder.display())?;
    Ok(cost)
}

/// buildah, with a storage of its own.
struct Buildah {
    root: PathBuf,
    run: PathBuf,
}

impl Buildah {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "overlay", "--root"]).arg(&self.root).arg("--runroot").arg(&self.run);
        command.args(arguments);
        command
    }

    fn prepare(&self, tar: &Path) -> Result<(), Trouble> {
        let container = run(&mut self.command(&["from", "scratch"]))?.stdout;
        let container = container.trim();
        run(self.command(&["add", container]).arg(tar).arg("/"))?;
        run(&mut self.command(&["commit", "--quiet", "--timestamp", "1735689600", container, "bench"]))?;
        run(&mut self.command(&["rm", container])).map(drop)
    }

    fn push(&self, out: &Path) -> Result<Cost, Trouble> {
        let (cost, _) = time(&self.command(&["push", "--quiet", "bench", &format!("oci:{}:bench", out.display())]))?;
        Ok(Cost { size: size(out), ..cost })
    }
}

fn umoci(rootfs: &Path, out: &Path) -> Result<Cost, Trouble> {
    run(Command::new("umoci").args(["init", "--layout"]).arg(out))?;
    let image = format!("{}:bench", out.display());
    run(Command::new("umoci").args(["new", "--image", &image]))?;
    let mut command = Command::new("umoci");
    command.args(["insert", "--image", &image]).arg(rootfs).arg("/");
    let (cost, _) = time(&command)?;
    Ok(Cost { size: size(out), ..cost })
}

/// The same work by hand: sorted names, one time, both digests.
fn pigz(rootfs: &Path, out: &Path) -> Result<Cost, Trouble> {
    const PIPE: &str = "set -o pipefail; mkdir \"$1\"; \
                        tar --sort=name --mtime=@1735689600 --numeric-owner -C \"$0\" -cf - . \
                        | tee >(sha256sum > \"$1/diff_id\") | pigz -n | tee \"$1/layer\" | sha256sum > \"$1/digest\"; \
                        sync \"$1/layer\"";
    let mut command = Command::new("/bin/bash");
    command.arg("-c").arg(PIPE).arg(rootfs).arg(out);
    let (cost, _) = time(&command)?;
    Ok(Cost { size: size(out), ..cost })
}
