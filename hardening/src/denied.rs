//! Which system calls the sandbox denies a build, of those that the builder room has. A list for the native architecture:
//! calls by another one never come so far, because the room's own list stops whoever makes one.

use serde_json::{Value, json};

/// Calls that no build needs and many escapes begin with.
const DENIED: &[&str] = &[
    "acct",
    "add_key",
    "bpf",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setns",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
];

/// The address families that a build may have sockets of: AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK end at the empty
/// network namespace. Others do not: AF_VSOCK reaches the hypervisor.
const FAMILIES: [u64; 4] = [1, 2, 10, 16];

/// Far more families than any kernel has.
const LAST_FAMILY: u64 = 63;

/// Ways to type into a terminal: TIOCSTI and TIOCLINUX.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// The number of RLIMIT_CORE.
const CORE: u64 = 4;

/// What clone(2) is asked with for a namespace of any kind.
const NAMESPACES: [u64; 8] =
    [0x80, 0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

/// The list, as an OCI runtime takes it.
pub(crate) fn list() -> Value {
    let masks = NAMESPACES.map(|flag| {
        json!({"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
            "args": [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}]})
    });
    let mut rules = vec![
        json!({"names": DENIED, "action": "SCMP_ACT_ERRNO", "errnoRet": 1}),
        json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}),
    ];
    rules.extend(masks);
    rules.extend(sockets());
    let low = u64::from(u32::MAX);
    rules.extend(TYPING.map(|request| {
        json!({"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
            "args": [{"index": 1, "value": low, "valueTwo": request, "op": "SCMP_CMP_MASKED_EQ"}]})
    }));
    // A limit of one stays one. Builds that ask for zero get no core either, so they are told that all is well.
    rules.push(json!({"names": ["setrlimit"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
        "args": [{"index": 0, "value": low, "valueTwo": CORE, "op": "SCMP_CMP_MASKED_EQ"}]}));
    rules.push(json!({"names": ["prlimit64"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
        "args": [{"index": 1, "value": low, "valueTwo": CORE, "op": "SCMP_CMP_MASKED_EQ"},
            {"index": 2, "value": 0, "op": "SCMP_CMP_NE"}]}));
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
}

/// Sockets of other families than a build may have, answered as a kernel without them would. The kernel looks at the low
/// half of the argument alone; a family with anything in the high half is more than the last.
fn sockets() -> Vec<Value> {
    let rule = |args: Value, errno: u32| json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args});
    let others = (0..=LAST_FAMILY).filter(|family| !FAMILIES.contains(family));
    let mut rules: Vec<Value> =
        others.map(|family| rule(json!([{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]), 97)).collect();
    rules.push(rule(json!([{"index": 0, "value": LAST_FAMILY, "op": "SCMP_CMP_GT"}]), 97));
    // Of netlink's protocols, interfaces and routes are what libraries ask for.
    let netlink =
        json!([{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 0, "op": "SCMP_CMP_NE"}]);
    rules.push(rule(netlink, 93));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether some rule catches this call. The kernel compares the whole argument, a family being its low half.
    fn denied(name: &str, arguments: [u64; 3]) -> bool {
        let list = list();
        let rules = list["syscalls"].as_array().unwrap();
        rules.iter().filter(|r| r["names"].as_array().unwrap().iter().any(|n| n == name)).any(|rule| {
            rule["args"].as_array().into_iter().flatten().all(|arg| {
                let number = |field: &str| arg[field].as_u64().unwrap();
                let given = arguments[number("index") as usize];
                match arg["op"].as_str().unwrap() {
                    "SCMP_CMP_EQ" => given == number("value"),
                    "SCMP_CMP_NE" => given != number("value"),
                    "SCMP_CMP_GT" => given > number("value"),
                    "SCMP_CMP_MASKED_EQ" => given & number("value") == number("valueTwo"),
                    other => panic!("{other}"),
                }
            })
        })
    }

    #[test]
    fn no_number_names_a_family_that_leaves_the_network_namespace() {
        const HIGH: u64 = 1 << 32;
        for family in 0..200 {
            assert_eq!(denied("socket", [family, 1, 0]), !FAMILIES.contains(&family), "{family}");
            assert!(denied("socket", [HIGH | family, 1, 0]) && denied("socket", [u64::MAX - family, 1, 0]), "{family}");
        }
        assert!(!denied("socket", [16, 3, 0]) && denied("socket", [16, 3, 15]) && denied("socket", [16, 3, HIGH]));
    }

    #[test]
    fn the_limit_on_cores_is_read_and_not_set() {
        let high = CORE | 1 << 32;
        assert!(
            denied("setrlimit", [CORE, 0, 0]) && denied("setrlimit", [high, 0, 0]) && !denied("setrlimit", [7, 0, 0])
        );
        assert!(denied("prlimit64", [0, CORE, 1]) && denied("prlimit64", [0, high, 1]));
        assert!(!denied("prlimit64", [0, CORE, 0]) && !denied("prlimit64", [0, 7, 1]));
    }
}
