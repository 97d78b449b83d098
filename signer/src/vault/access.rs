//! What a token can do, by Vault's own word, against what the signer needs.
//!
//! Vault lists the rules of a token, all but those with a `+` within their path; so it is also asked, path by path, about
//! places where too much would hurt most.

use std::collections::{BTreeMap, BTreeSet};

use artifact::failure::Failure;
use artifact::words::one_line;
use serde::{Deserialize, Serialize};

use super::client::Again;
use super::login::Session;
use super::needs::{self, Need};
use super::settings::VaultSettings;

/// The most paths that an error names.
const NAMED: usize = 20;

#[derive(Deserialize)]
struct Listed {
    data: Rules,
}

#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    root: bool,
    #[serde(default)]
    exact_paths: Option<BTreeMap<String, Rule>>,
    #[serde(default)]
    glob_paths: Option<BTreeMap<String, Rule>>,
}

#[derive(Deserialize)]
struct Rule {
    capabilities: Vec<String>,
}

#[derive(Serialize)]
struct Paths<'a> {
    paths: &'a [String],
}

#[derive(Deserialize)]
struct Asked {
    data: BTreeMap<String, Vec<String>>,
}

/// Measures a session's token.
///
/// # Errors
/// It can do more than the signer needs, or less: each path by its name. Or Vault does not tell.
pub(super) fn measure(session: &Session, settings: &VaultSettings) -> Result<(), Failure> {
    let tried = "measuring what the token can do";
    let Listed { data } = session.read(tried, "sys/internal/ui/resultant-acl")?.document(tried)?;
    let needs = needs::needs(settings);
    let probes = needs::probes(settings);
    let asked = session.write(tried, "sys/capabilities-self", &Paths { paths: &probes }, None, Again::Always)?;
    let Asked { data: asked } = asked.document(tried)?;
    if let Some(untold) = probes.iter().find(|path| !asked.contains_key(*path)) {
        return Err(Failure::later("vault-talks-nonsense", format!("{tried}: Vault does not say about {untold}")));
    }
    let (more, less) = compare(&data, &asked, &needs);
    if !more.is_empty() {
        let text = format!(
            "the token can do more than the signer needs: {}. Give its role the policy that `countersign vault policy` prints, \
             no other, and token_no_default_policy=true",
            list(&more)
        );
        return Err(Failure::later("vault-token-too-mighty", text));
    }
    if !less.is_empty() {
        let text = format!("the token can't do what the signer needs: {}. See `countersign vault policy`", list(&less));
        return Err(Failure::later("vault-token-too-weak", text));
    }
    Ok(())
}

/// What is too much, and what is missing.
fn compare(
    rules: &Rules,
    asked: &BTreeMap<String, Vec<String>>,
    needs: &[Need],
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut more, mut less) = (BTreeSet::new(), BTreeSet::new());
    if rules.root {
        more.insert("everything: it is a root token".to_owned());
    }
    let exact = rules.exact_paths.iter().flatten().map(|(path, rule)| (path.clone(), rule));
    let globs = rules.glob_paths.iter().flatten().map(|(path, rule)| (format!("{path}*"), rule));
    let listed: BTreeMap<String, &Rule> = exact.chain(globs).collect();
    for (path, rule) in &listed {
        let need = needs.iter().find(|need| need.path == *path);
        surplus(path, &rule.capabilities, need, &mut more);
    }
    for (path, capabilities) in asked {
        // What a listed rule gives has been judged with that rule.
        let given: Vec<&String> =
            listed.iter().filter(|(rule, _)| covers(rule, path)).flat_map(|(_, rule)| &rule.capabilities).collect();
        let hidden: Vec<String> = capabilities.iter().filter(|c| !given.contains(c)).cloned().collect();
        surplus(path, &hidden, needs.iter().find(|need| covers(&need.path, path)), &mut more);
    }
    for need in needs {
        let has = |capability: &&&str| {
            listed.get(&need.path).is_some_and(|r| r.capabilities.iter().any(|c| c == *capability))
        };
        for missing in need.capabilities.iter().filter(|c| !has(c)) {
            less.insert(format!("{missing} {}", need.path));
        }
    }
    (more, less)
}

fn surplus(path: &str, capabilities: &[String], need: Option<&Need>, more: &mut BTreeSet<String>) {
    let needed = |c: &String| c == "deny" || need.is_some_and(|need| need.capabilities.contains(&c.as_str()));
    for capability in capabilities.iter().filter(|c| !needed(c)) {
        more.insert(format!("{} {}", one_line(capability), one_line(path)));
    }
}

/// Whether a policy's path covers this one.
fn covers(rule: &str, path: &str) -> bool {
    rule.strip_suffix('*').map_or(rule == path, |begin| path.starts_with(begin))
}

fn list(paths: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = paths.iter().take(NAMED).map(String::as_str).collect();
    let rest = paths.len().saturating_sub(NAMED);
    let rest = if rest == 0 { String::new() } else { format!(", and {rest} more") };
    format!("{}{rest}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs() -> Vec<Need> {
        vec![
            Need { path: "transit/sign/k/sha2-256".into(), capabilities: &["update"], why: "" },
            Need { path: "secret/data/c/state/tags/*".into(), capabilities: &["create", "read"], why: "" },
        ]
    }

    fn judged(rules: &str, asked: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let rules: Rules = serde_json::from_str(rules).unwrap();
        let asked = asked.iter().map(|(path, c)| ((*path).to_owned(), vec![(*c).to_owned()])).collect();
        let (more, less) = compare(&rules, &asked, &needs());
        (more.into_iter().collect(), less.into_iter().collect())
    }

    const GOOD: &str = r#"{"root":false,"exact_paths":{"transit/sign/k/sha2-256":{"capabilities":["update"]}},
        "glob_paths":{"secret/data/c/state/tags/":{"capabilities":["create","read"]}}}"#;

    #[test]
    fn a_token_that_can_do_just_what_is_needed_is_taken() {
        let asked = [("sys/mounts/x", "deny"), ("secret/data/c/state/tags/x", "read"), ("transit/keys/k", "deny")];
        assert_eq!(judged(GOOD, &asked), (vec![], vec![]));
    }

    #[test]
    fn whatever_is_too_much_is_named_by_its_path() {
        let more = |rules: &str, asked: &[(&str, &str)]| judged(rules, asked).0;
        assert_eq!(more(r#"{"root":true}"#, &[]), ["everything: it is a root token"]);
        let star = GOOD.replace("\"glob_paths\":{", r#""glob_paths":{"":{"capabilities":["sudo"]},"#);
        assert_eq!(more(&star, &[("sys/mounts/x", "sudo")]), ["sudo *"]);
        let other = GOOD.replace("[\"update\"]", "[\"update\",\"delete\"]");
        assert_eq!(more(&other, &[]), ["delete transit/sign/k/sha2-256"]);
        // A rule that begins as a needed one does, and ends earlier.
        let wider = GOOD.replace("state/tags/", "state/");
        assert_eq!(more(&wider, &[]), ["create secret/data/c/state/*", "read secret/data/c/state/*"]);
        // A wildcard within a path stands in no list.
        assert_eq!(more(GOOD, &[("transit/keys/k/rotate", "update")]), ["update transit/keys/k/rotate"]);
        assert_eq!(more(GOOD, &[("transit/sign/k/sha2-256", "root")]), ["root transit/sign/k/sha2-256"]);
    }

    #[test]
    fn whatever_is_missing_is_named_by_its_path() {
        let less =
            judged(r#"{"exact_paths":null,"glob_paths":{"secret/data/c/state/tags/":{"capabilities":["deny"]}}}"#, &[])
                .1;
        assert_eq!(
            less,
            ["create secret/data/c/state/tags/*", "read secret/data/c/state/tags/*", "update transit/sign/k/sha2-256"]
        );
    }
}
