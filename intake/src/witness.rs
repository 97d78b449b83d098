//! Bringing the log's checkpoint before its witnesses. Their answers are carried, not believed: the keeper verifies them.

use artifact::digest::shortened;
use artifact::failure::Failure;
use audit::merkle::SIZE_LIMIT;
use registry::{Added, Witness};

use crate::config;
use crate::door::{Answer, ToWitness, WITNESSES, Witnessed};
use crate::process::printable;
use crate::room::IntakeRoom;

impl IntakeRoom {
    /// Asks each of the witnesses once. One that does not answer keeps no other from being asked.
    pub(crate) async fn witness(&self, requests: &[ToWitness]) -> Result<Answer, Failure> {
        if requests.is_empty() || requests.len() > WITNESSES {
            return Err(Failure::never("bad-witnesses", format!("1 to {WITNESSES} witnesses are asked at once")));
        }
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let answer = match self.config.witness(&request.witness) {
                Some(witness) => ask(witness, request).await,
                None => Err(format!("intake.toml lists no witness with the key {:?}", shortened(&request.witness))),
            };
            answers.push(answer.unwrap_or_else(|why| Witnessed::Not { why }));
        }
        Ok(Answer::Witnessed { answers })
    }
}

async fn ask(witness: &config::Witness, request: &ToWitness) -> Result<Witnessed, String> {
    let name = witness.vkey.name();
    let named = |e: &dyn std::fmt::Display| printable(&format!("witness {name}: {e}"));
    let asked = Witness::new(&witness.prefix().map_err(|e| named(&e))?).map_err(|e| named(&e))?;
    let added = asked.add_checkpoint(&request.body).await.map_err(|e| named(&e))?;
    read(&added, request.old).map_err(|e| named(&e))
}

/// What an answer means (C2SP tlog-witness, `add-checkpoint`).
fn read(added: &Added, old: u64) -> Result<Witnessed, String> {
    let text = std::str::from_utf8(&added.body);
    match added.status {
        200 => match text {
            Ok(lines) if lines.starts_with("— ") && lines.ends_with('\n') => {
                Ok(Witnessed::Signed { lines: lines.to_owned() })
            }
            _ => Err(format!("its answer is no cosignature: {:?}", said(&added.body))),
        },
        409 => {
            let number = text.ok().and_then(|t| t.strip_suffix('\n')).and_then(|n| Some((n, n.parse::<u64>().ok()?)));
            // A number beyond what there can be is none; and no frame could carry it.
            match number.filter(|(text, size)| size.to_string() == *text && *size <= SIZE_LIMIT) {
                Some((_, size)) if size == old => Err(format!(
                    "it has seen another log of {size} entries by this name: compare the log with its copies"
                )),
                Some((_, size)) => Ok(Witnessed::Has { size }),
                None => Err(format!("it names no size in its answer 409: {:?}", said(&added.body))),
            }
        }
        status => Err(format!("HTTP status {status} ({:?}): {}", said(&added.body), next_step(status))),
    }
}

/// The beginning of what it said.
fn said(body: &[u8]) -> String {
    shortened(String::from_utf8_lossy(body).trim_end())
}

fn next_step(status: u16) -> &'static str {
    match status {
        300..=399 => "it points elsewhere, which is not followed; mend its url in intake.toml",
        403 => "it knows the log by another key; give its operator the log's key of keys.toml",
        404 => {
            "it does not know the log; have its operator add the log's origin and key, or mend its url in intake.toml"
        }
        422 => "it has seen another history of this log, so one of the two was forked: compare the log with its copies",
        408 | 429 | 500.. => "it is asked again in the next pass",
        _ => "it does not take this",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &[u8]) -> Result<Witnessed, String> {
        read(&Added { status, body: body.to_vec() }, 5)
    }

    #[test]
    fn an_answer_is_lines_a_size_or_a_reason() {
        let lines = "— w.example AAAA\n".to_owned();
        assert_eq!(answer(200, lines.as_bytes()), Ok(Witnessed::Signed { lines }));
        assert_eq!(answer(409, b"17\n"), Ok(Witnessed::Has { size: 17 }));
        assert_eq!(answer(409, b"0\n"), Ok(Witnessed::Has { size: 0 }));
        for (status, body, word) in [
            (200, &b""[..], "no cosignature"),
            (200, b"<html>", "no cosignature"),
            (200, "— w.example AAAA".as_bytes(), "no cosignature"),
            (200, b"\xff\n", "no cosignature"),
            (409, b"5\n", "another log of 5 entries"),
            (409, b"17", "no size"),
            (409, b"017\n", "no size"),
            (409, b"-1\n", "no size"),
            (409, b"18446744073709551615\n", "no size"),
            (409, b"99999999999999999999\n", "no size"),
            (301, b"", "points elsewhere"),
            (403, b"invalid signature\n", "another key"),
            (404, b"unknown log\n", "does not know the log"),
            (422, b"bad consistency proof\n", "another history"),
            (503, b"\x1b[2J", "\\u{1b}[2J"),
            (418, b"x", "does not take this"),
        ] {
            let why = answer(status, body).unwrap_err();
            assert!(why.contains(word) && !why.contains(char::is_control), "{status}: {why}");
        }
    }
}
