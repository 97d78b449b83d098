//! Reading a policy: a line a thing, and what a line names stands before it.

use artifact::digest::shortened;

use super::{COUNT, Kind, LIMIT, LogPolicy, Part, PolicyError};
use crate::note::{VerifierKey, Vkey};

/// The name that stands for no witness at all.
const NONE: &str = "none";

/// A policy, half read.
#[derive(Default)]
struct Reading {
    logs: Vec<Vkey>,
    parts: Vec<Part>,
    /// The parts that are some group's member.
    taken: Vec<usize>,
    quorum: Option<Option<usize>>,
}

impl LogPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The first line that is none, a name that is not defined before or defined twice, a key in two places, no quorum,
    /// or more than [`LIMIT`] bytes or [`COUNT`] things of a kind.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let shape = |why: &str| Err(PolicyError::Shape(why.to_owned()));
        if text.len() > LIMIT {
            return shape("more than 64 KiB");
        }
        let Some(lines) = text.strip_suffix('\n') else { return shape("its last line does not end") };
        let mut reading = Reading::default();
        for (number, line) in (1..).zip(lines.split('\n')) {
            reading.line(line).map_err(|why| PolicyError::Line(number, why))?;
        }
        match reading.quorum {
            Some(quorum) => Ok(Self { logs: reading.logs, parts: reading.parts, quorum }),
            None => shape("no line says quorum NAME, or quorum none"),
        }
    }
}

impl Reading {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.contains(|c: char| c.is_control() && c != '\t') {
            return Err("a control character".to_owned());
        }
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        // Some readers take what follows for a comment, and some split at more than space and tab.
        if line.contains(|c: char| c == '#' || (c.is_whitespace() && c != ' ' && c != '\t')) {
            return Err("a # or a space of another alphabet within the line: readers would differ".to_owned());
        }
        let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words[..] {
            ["log", key] | ["log", key, _] => self.log(key),
            ["witness", name, key] | ["witness", name, key, _] => self.witness(name, key),
            ["group", name, least, ref members @ ..] if !members.is_empty() => self.group(name, least, members),
            ["quorum", name] => self.settle(name),
            _ => Err("log VKEY [URL], witness NAME VKEY [URL], group NAME all|any|K NAME… or quorum NAME is expected"
                .to_owned()),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), String> {
        let key: Vkey = key.parse().map_err(|e| format!("{e}"))?;
        self.unused(&key)?;
        room(self.logs.len())?;
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), String> {
        let key = key.parse().map_err(|e| format!("{e}"))?;
        self.unused(&key)?;
        self.define(name, Kind::Witness(key))
    }

    fn group(&mut self, name: &str, least: &str, members: &[&str]) -> Result<(), String> {
        let members = members.iter().map(|member| self.known(member)).collect::<Result<Vec<_>, _>>()?;
        for member in &members {
            // Each witness counts in one way only.
            if self.taken.contains(member) {
                return Err(format!("{:?} is a member already, here or of another group", self.name(*member)));
            }
            self.taken.push(*member);
        }
        let number = least.parse().ok().filter(|n: &usize| n.to_string() == least);
        let least = match least {
            "all" => members.len(),
            "any" => 1,
            _ => number.filter(|n| (1..=members.len()).contains(n)).ok_or_else(|| {
                format!("{:?}: all, any or a number from 1 to {} is expected", shortened(least), members.len())
            })?,
        };
        self.define(name, Kind::Group { least, members })
    }

    fn settle(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("a second quorum".to_owned());
        }
        self.quorum = Some(if name == NONE { None } else { Some(self.known(name)?) });
        Ok(())
    }

    fn define(&mut self, name: &str, kind: Kind) -> Result<(), String> {
        if name == NONE || self.parts.iter().any(|part| part.name == name) {
            let why = if name == NONE { "means nobody" } else { "is defined already" };
            return Err(format!("the name {:?} {why}", shortened(name)));
        }
        let like = |part: &&Part| matches!(part.kind, Kind::Witness(_)) == matches!(kind, Kind::Witness(_));
        room(self.parts.iter().filter(like).count())?;
        self.parts.push(Part { name: name.to_owned(), kind });
        Ok(())
    }

    fn known(&self, name: &str) -> Result<usize, String> {
        let at = self.parts.iter().position(|part| part.name == name);
        at.ok_or_else(|| format!("{:?} is no witness or group of a line before", shortened(name)))
    }

    fn name(&self, at: usize) -> String {
        self.parts.get(at).map(|part| shortened(&part.name)).unwrap_or_default()
    }

    /// One key in two places would count twice, or a log would be its own witness.
    fn unused<const KIND: u8>(&self, key: &VerifierKey<KIND>) -> Result<(), String> {
        let witnessed = self.parts.iter().any(|p| matches!(&p.kind, Kind::Witness(k) if k.key() == key.key()));
        if witnessed || self.logs.iter().any(|log| log.key() == key.key()) {
            return Err(format!("the key of {:?} stands on a line before", shortened(key.name())));
        }
        Ok(())
    }
}

fn room(count: usize) -> Result<(), String> {
    if count < COUNT { Ok(()) } else { Err(format!("more than {COUNT} of its kind")) }
}
