//! Projects: real upstream C programs with their own build systems, from Debian's source packages, and tiny ones for tests.

use std::path::PathBuf;
use std::process::Command;

use artifact::name::Pinned;
use artifact::recipe;

use crate::apt;
use crate::cache;
use crate::command::run;
use crate::forge::{Forge, Source};
use crate::trouble::{During as _, Trouble};

/// The release of Debian whose sources are taken.
const SUITE: &str = "bookworm";

/// A C program from upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// FIGlet 2.2.5: a Makefile and a test suite. Builds in a second.
    Figlet,
    /// GNU hello 2.10: autoconf, automake, gnulib. Configures for ten seconds.
    Hello,
}

impl Upstream {
    /// The source package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Figlet => "figlet",
            Self::Hello => "hello",
        }
    }

    /// What a person would call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Figlet => "FIGlet, with upstream's Makefile and test suite",
            Self::Hello => "GNU hello, with autoconf's configure and automake's Makefiles",
        }
    }

    /// What the image runs.
    pub fn program(self) -> &'static str {
        match self {
            Self::Figlet => "/usr/bin/figlet",
            Self::Hello => "/usr/bin/hello",
        }
    }

    /// Whether its source is there already.
    pub fn is_kept(self) -> bool {
        cache::folder().is_ok_and(|folder| folder.join("sources").join(self.package()).is_dir())
    }

    /// Puts upstream's source, as it was released, and a recipe into a forge's work tree.
    ///
    /// # Errors
    /// When it can't be fetched, or does not verify.
    pub fn lay_out(self, forge: &Forge, base: &Pinned) -> Result<(), Trouble> {
        let tar = self.fetch()?;
        run(Command::new("tar")
            .args(["--strip-components=1", "--no-same-owner", "-xf"])
            .arg(tar)
            .arg("-C")
            .arg(forge.work()))?;
        forge.write(&[self.recipe(base)])
    }

    fn fetch(self) -> Result<PathBuf, Trouble> {
        let folder = cache::kept("sources", self.package(), |folder| {
            let scratch = tempfile::tempdir().during("a folder for a source package")?;
            let tar = apt::source(self.package(), SUITE, scratch.path())?;
            std::fs::copy(&tar, folder.join("orig.tar")).during(tar.display()).map(drop)
        })?;
        Ok(folder.join("orig.tar"))
    }

    /// How it is built. Static, because the image stands on nothing; without debugging information, which holds the path
    /// of the build.
    pub fn recipe(self, base: &Pinned) -> Source {
        let steps: &[&str] = match self {
            Self::Figlet => &[
                "make CFLAGS='-O2 -Wall' LDFLAGS=-static prefix=/usr DEFAULTFONTDIR=/usr/share/figlet all",
                "make check",
                "make install prefix=/usr DEFAULTFONTDIR=/usr/share/figlet MANDIR=/usr/share/man DESTDIR=\"$OUT\"",
            ],
            // Git keeps no time stamps; and the manual page, which would be made of the program by a tool that is not
            // there, must look newer than it.
            Self::Hello => &[
                "find . -type f -exec touch -d @$SOURCE_DATE_EPOCH {} + && touch -d 2038-01-01 hello.1",
                "./configure --prefix=/usr --disable-nls --disable-dependency-tracking CFLAGS=-O2 LDFLAGS=-static",
                "make",
                "make install-strip DESTDIR=\"$OUT\"",
            ],
        };
        let (entrypoint, cmd): (_, &[&str]) = match self {
            Self::Figlet => (self.program(), &["Countersigned"]),
            Self::Hello => (self.program(), &["--greeting=Countersigned."]),
        };
        recipe(base, steps, &[entrypoint], cmd)
    }
}

/// A recipe with these steps.
pub fn recipe(base: &Pinned, steps: &[&str], entrypoint: &[&str], cmd: &[&str]) -> Source {
    let list = |items: &[&str]| {
        let quoted = items.iter().map(|item| toml::Value::String((*item).to_owned()).to_string());
        quoted.collect::<Vec<_>>().join(",\n  ")
    };
    let text = format!(
        "# How this tree becomes an image, outside and inside the perimeter alike.\nversion = 1\nbase = \"{base}\"\n\
         steps = [\n  {},\n]\n\n[image]\nentrypoint = [{}]\ncmd = [{}]\n",
        list(steps),
        list(entrypoint),
        list(cmd)
    );
    Source::text(recipe::PATH, text)
}

/// A project of one file, built in no time on [`crate::base::Base::Tiny`].
pub fn tiny(base: &Pinned, word: &str) -> Vec<Source> {
    let steps = [
        "mkdir -p \"$OUT/bin\"",
        "cp word.txt \"$OUT/word.txt\"",
        "cp say.sh \"$OUT/bin/say\"",
        "chmod 755 \"$OUT/bin/say\"",
    ];
    vec![
        Source::text("word.txt", format!("{word}\n")),
        Source { executable: true, ..Source::text("say.sh", "#!/bin/sh\ncat /word.txt\n") },
        recipe(base, &steps, &["/bin/say"], &[]),
    ]
}

/// A project whose every build is another: it writes down where and when it was built, and a number of its own.
pub fn restless(base: &Pinned) -> Vec<Source> {
    let says = "printf 'built by %s in %s at %s, number %s\\n' \"$(hostname)\" \"$PWD\" \"$(date -u)\" \
                \"$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' ')\" > \"$OUT/etc/build-info\"";
    vec![recipe(base, &["mkdir -p \"$OUT/etc\"", says], &["/bin/true"], &[])]
}

/// A project whose build fails in its second step.
pub fn failing(base: &Pinned) -> Vec<Source> {
    vec![recipe(base, &["mkdir -p \"$OUT/bin\"", "echo 'no such header: thing.h' >&2; exit 2"], &["/bin/true"], &[])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_can_be_read() {
        let base = format!("127.0.0.1:1/base@{}", artifact::Digest::of(b"")).parse().unwrap();
        let mut recipes = vec![Upstream::Figlet.recipe(&base), Upstream::Hello.recipe(&base)];
        for project in [tiny(&base, "a"), restless(&base), failing(&base)] {
            recipes.extend(project.into_iter().filter(|file| file.path == recipe::PATH));
        }
        assert_eq!(recipes.len(), 5);
        for file in recipes {
            let recipe = recipe::Recipe::parse(&file.content).unwrap();
            assert_eq!(recipe.base, base);
        }
    }

    /// On the base's own shell and tools: that each applet is there, and that two runs differ or don't.
    #[test]
    fn tiny_projects_do_what_they_say() {
        let base = format!("127.0.0.1:1/base@{}", artifact::Digest::of(b"")).parse().unwrap();
        let built = |files: &[Source]| {
            let folder = tempfile::tempdir().unwrap();
            let (layout, image) = crate::base::Base::Tiny.get().unwrap();
            let manifest = artifact::oci::Manifest::parse(&layout.read(&image, 1 << 20).unwrap()).unwrap();
            let layer = layout.path(&manifest.layers[0].digest);
            run(Command::new("tar").args(["--no-same-owner", "-xf"]).arg(layer).arg("-C").arg(folder.path())).unwrap();
            let out = folder.path().join("out");
            std::fs::create_dir(&out).unwrap();
            for file in files {
                std::fs::write(folder.path().join(&file.path), &file.content).unwrap();
            }
            let recipe = files.iter().find(|file| file.path == recipe::PATH).unwrap();
            for step in recipe::Recipe::parse(&recipe.content).unwrap().steps {
                let mut shell = Command::new(folder.path().join("bin/busybox"));
                shell.args(["sh", "-e", "-c", &step]).env_clear().env("PATH", folder.path().join("bin"));
                run(shell.env("OUT", &out).current_dir(folder.path())).unwrap();
            }
            run(Command::new("tar").args(["-C"]).arg(&out).args(["--mtime=@0", "--sort=name", "-c", "."]))
                .unwrap()
                .stdout
        };
        let (calm, wild) = (tiny(&base, "word"), restless(&base));
        assert!(built(&calm).contains("word\n"));
        assert_eq!(built(&calm), built(&calm));
        assert_ne!(built(&wild), built(&wild));
        assert!(built(&wild).contains("built by "));
    }

    #[test]
    fn a_recipe_keeps_quotes() {
        let base = format!("127.0.0.1:1/base@{}", artifact::Digest::of(b"")).parse().unwrap();
        let step = "printf '%s\\n' \"$OUT\"";
        let parsed = recipe::Recipe::parse(&recipe(&base, &[step], &["/a"], &[]).content).unwrap();
        assert_eq!(parsed.steps, [step]);
    }
}
