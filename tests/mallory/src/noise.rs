//! What any room can say that no room says.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use artifact::frame;
use serde_json::json;

/// Makes noise of this kind instead of an answer; `false`: it is no kind of noise.
pub fn make(mut channel: &UnixStream, kind: &str) -> std::io::Result<bool> {
    let say = |text: &str| frame::send(channel, &json!({"progress": {"text": text}})).map_err(std::io::Error::other);
    match kind {
        "withhold" => {}
        "silence" => std::thread::sleep(Duration::from_secs(600)),
        // A byte now and then: each arrives, and the frame never does.
        "trickle" => {
            channel.write_all(&[0, 1, 0, 0])?;
            loop {
                std::thread::sleep(Duration::from_millis(300));
                channel.write_all(b" ")?;
            }
        }
        "frame-huge" => channel.write_all(&[0xff; 64])?,
        "frame-cut" => channel.write_all(&[0, 0, 1, 0, b'{'])?,
        "frame-no-json" => channel.write_all(b"\0\0\0\x04nope")?,
        "frame-wrong" => frame::send(channel, &json!({"appended": {"first": 0}})).map_err(std::io::Error::other)?,
        "flood" => (0..200_000).try_for_each(|n| say(&format!("step {n}")))?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A line that would clear a terminal and forge another line, and one of megabytes.
pub fn escapes(channel: &UnixStream) -> Result<(), frame::FrameError> {
    for text in ["\x1b[2J\x1b[H\nforged: released\r\u{202e}", &"long ".repeat(500_000)] {
        frame::send(channel, &json!({"progress": {"text": text}}))?;
    }
    Ok(())
}
