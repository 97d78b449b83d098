//! What is read back from inside a sandbox before a recipe runs in it: runtimes ignore some fields in silence.
//!
//! The sandbox's own first process answers, and then waits for a word: so what was looked at is what the recipe gets, and no
//! second start is needed.

use std::io::{self, Read, Write as _};
use std::time::Duration;

use crate::bundle::{Bundle, SandboxError};

/// The bundle's capabilities as the kernel's mask.
const CAPABILITY_MASK: &str = "00000000800000fb";

/// How long a start may take until everything is answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The most bytes of answers: a hundred times what a shell says.
const ANSWERS: usize = 64 << 10;

/// The line after the last answer.
const END: &str = "countersign: answered\n";

/// The word that lets the recipe begin.
const GO: &[u8] = b"go\n";

/// What the first process does; its first argument is the recipe. Asked by a shell's own words alone: a base may hold
/// nothing else. In subshells, so that no variable of the recipe's is another afterwards.
pub(crate) const FIRST: &str = r#"(
while read -r name first rest; do
  case "$name" in Uid:|NoNewPrivs:|Seccomp:|CapEff:|CapBnd:) echo "$name $first" ;; esac
done < /proc/self/status
while read -r first second soft rest; do
  case "$first $second" in "Max processes") echo "processes $soft" ;;
    "Max data") set -- $rest; echo "data $1" ;;
    "Max core") set -- $rest; echo "core $2" ;; esac
done < /proc/self/limits
ids=ids
while read -r inside outside count; do ids="$ids $inside+$count"; done < /proc/self/uid_map
echo "$ids"
while read -r id parent device root point options rest; do
  case "$point:$options" in /:ro|/:ro,*) echo "root ro" ;; /proc:ro|/proc:ro,*) echo "proc ro" ;; esac
done < /proc/self/mountinfo
read -r score < /proc/self/oom_score_adj
echo "stopped first $score"
read -r name < /proc/sys/kernel/hostname
echo "host $name"
echo "umask $(umask)"
echo "cwd $(pwd)"
echo "LC_ALL $LC_ALL"
echo "TZ $TZ"
echo "SOURCE_DATE_EPOCH $SOURCE_DATE_EPOCH"
routes=none
while read -r interface rest; do case "$interface" in Iface) ;; *) routes="$interface" ;; esac; done < /proc/net/route
echo "network $routes"
echo "pid $$"
echo "countersign: answered"
)
( read -r go; [ "$go" = go ] )
exec </dev/null
exec /bin/sh -e -c "$1"
"#;

/// Reads until the answers end. What came after them is given back.
pub(crate) fn listen(from: &mut impl Read) -> (Result<String, SandboxError>, io::Cursor<Vec<u8>>) {
    let mut heard = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(at) = heard.windows(END.len()).position(|window| window == END.as_bytes()) {
            let rest = heard.split_off(at + END.len());
            heard.truncate(at);
            return (Ok(String::from_utf8_lossy(&heard).into_owned()), io::Cursor::new(rest));
        }
        match from.read(&mut piece) {
            Ok(n @ 1..) if heard.len() < ANSWERS => heard.extend_from_slice(&piece[..n]),
            _ => {
                let said = String::from_utf8_lossy(&heard).trim_end().to_owned();
                return (Err(SandboxError::NotAsAsked(format!("it did not start: {said}"))), io::Cursor::default());
            }
        }
    }
}

/// Lets the recipe begin.
pub(crate) fn let_go(mut to: io::PipeWriter) -> io::Result<()> {
    to.write_all(GO)
}

impl Bundle {
    /// Compares every answer with what was asked for, and says what that was.
    pub(crate) fn compare(&self, answers: &str) -> Result<Vec<String>, SandboxError> {
        let answers: Vec<&str> = answers.lines().collect();
        let env = |name: &str| self.env.iter().find_map(|e| e.strip_prefix(&format!("{name}="))).unwrap_or_default();
        let expected = [
            ("no_new_privs", "NoNewPrivs: 1".to_owned()),
            ("a seccomp filter", "Seccomp: 2".to_owned()),
            ("capabilities", format!("CapEff: {CAPABILITY_MASK}")),
            ("bounding set", format!("CapBnd: {CAPABILITY_MASK}")),
            ("uid 0 of a user namespace", "Uid: 0".to_owned()),
            ("id map", format!("ids {}", if self.ranges { "0+1 1+65535" } else { "0+1" })),
            ("read-only root", "root ro".to_owned()),
            ("read-only /proc", "proc ro".to_owned()),
            ("first to go when memory is short", "stopped first 1000".to_owned()),
            ("no core for anybody", "core 1".to_owned()),
            ("memory of one process", format!("data {}", self.memory)),
            ("host name", format!("host {}", self.hostname)),
            ("umask", format!("umask {:04o}", self.umask)),
            ("working directory", format!("cwd {}", self.cwd)),
            ("locale", format!("LC_ALL {}", env("LC_ALL"))),
            ("time zone", format!("TZ {}", env("TZ"))),
            ("SOURCE_DATE_EPOCH", format!("SOURCE_DATE_EPOCH {}", env("SOURCE_DATE_EPOCH"))),
            ("no network", "network none".to_owned()),
            ("pid namespace", "pid 1".to_owned()),
            ("process limit", format!("processes {}", self.processes)),
        ];
        for (what, wanted) in &expected {
            if !answers.contains(&wanted.as_str()) {
                let found = answers.join("; ");
                return Err(SandboxError::NotAsAsked(format!(
                    "{what}: asked for {wanted:?}, inside there is: {found}"
                )));
            }
        }
        Ok(expected.iter().map(|(what, _)| (*what).to_owned()).collect())
    }
}
