//! One output stream of a run: cuts off what came before the script, keeps a
//! bounded amount of the rest, and splits it into lines for those who watch.

/// Most of what a login may say before the script starts; past it, something
/// floods us.
const MAX_NOISE: usize = 1 << 20;

/// Longest line that is handed out in one piece.
const MAX_LINE: usize = 8 << 10;

/// A line of output while the script runs. Untrusted: escape it before it
/// reaches a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Where the script wrote it.
    pub stream: OutputStream,
    /// Without its newline; lossy UTF-8. A line of more than 8 KiB comes in
    /// pieces.
    pub text: String,
}

/// A stream of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            OutputStream::Stdout => "standard output",
            OutputStream::Stderr => "standard error",
        }
    }
}

/// More came than may be kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flood {
    pub stream: OutputStream,
    pub limit: usize,
}

pub(crate) struct Capture {
    stream: OutputStream,
    marker: Vec<u8>,
    /// Whether the marker has been seen.
    pub(crate) started: bool,
    /// What came before the marker.
    pub(crate) noise: Vec<u8>,
    /// What came after it.
    pub(crate) kept: Vec<u8>,
    limit: usize,
    /// Where in `kept` the line begins that is not complete yet.
    line: usize,
}

impl Capture {
    pub(crate) fn new(stream: OutputStream, nonce: &str, limit: usize) -> Self {
        Capture {
            stream,
            marker: format!("{nonce}\n").into_bytes(),
            started: false,
            noise: Vec::new(),
            kept: Vec::new(),
            limit,
            line: 0,
        }
    }

    /// Takes what came, and hands out the lines that it completes.
    pub(crate) fn push_bytes(
        &mut self,
        data: &[u8],
        on_line: Option<&mut dyn FnMut(OutputLine)>,
    ) -> Result<(), Flood> {
        if self.started {
            return self.keep_bytes(data, on_line);
        }
        // The marker may have been cut in two.
        let from = self.noise.len().saturating_sub(self.marker.len());
        self.noise.extend_from_slice(data);
        match find_bytes(&self.noise[from..], &self.marker) {
            Some(at) => {
                let rest = self.noise.split_off(from + at + self.marker.len());
                self.noise.truncate(from + at);
                self.started = true;
                self.keep_bytes(&rest, on_line)
            }
            None if self.noise.len() > MAX_NOISE => Err(Flood {
                stream: self.stream,
                limit: MAX_NOISE,
            }),
            None => Ok(()),
        }
    }

    fn keep_bytes(
        &mut self,
        data: &[u8],
        on_line: Option<&mut dyn FnMut(OutputLine)>,
    ) -> Result<(), Flood> {
        let taken = data.len().min(self.limit - self.kept.len());
        let from = self.kept.len();
        self.kept.extend_from_slice(&data[..taken]);
        if let Some(on_line) = on_line {
            self.split_lines(from, on_line);
        }
        if taken < data.len() {
            return Err(Flood {
                stream: self.stream,
                limit: self.limit,
            });
        }
        Ok(())
    }

    /// Hands out the lines that end at or after `from`.
    fn split_lines(&mut self, mut from: usize, on_line: &mut dyn FnMut(OutputLine)) {
        loop {
            let end = self.kept[from..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|at| from + at);
            match end {
                Some(end) if end - self.line <= MAX_LINE => {
                    self.hand_out_line(end, on_line);
                    self.line = end + 1;
                    from = self.line;
                }
                _ if self.kept.len() - self.line > MAX_LINE => {
                    let end = self.line + MAX_LINE;
                    self.hand_out_line(end, on_line);
                    self.line = end;
                    from = end;
                }
                _ => return,
            }
        }
    }

    /// Hands out a last line that has no newline.
    pub(crate) fn finish_line(&mut self, on_line: &mut dyn FnMut(OutputLine)) {
        if self.line < self.kept.len() {
            self.hand_out_line(self.kept.len(), on_line);
            self.line = self.kept.len();
        }
    }

    fn hand_out_line(&self, end: usize, on_line: &mut dyn FnMut(OutputLine)) {
        let text = String::from_utf8_lossy(&self.kept[self.line..end]).into_owned();
        on_line(OutputLine {
            stream: self.stream,
            text,
        });
    }
}

fn find_bytes(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Whether `needle` is in `haystack`.
pub(crate) fn contains_bytes(haystack: &[u8], needle: &[u8]) -> bool {
    find_bytes(haystack, needle).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(chunks: &[&[u8]], limit: usize) -> (Capture, Vec<String>, Result<(), Flood>) {
        let mut capture = Capture::new(OutputStream::Stdout, "NONCE", limit);
        let mut lines = Vec::new();
        let mut on_line = |line: OutputLine| lines.push(line.text);
        let mut result = Ok(());
        for chunk in chunks {
            result = result.and(capture.push_bytes(chunk, Some(&mut on_line)));
        }
        capture.finish_line(&mut on_line);
        (capture, lines, result)
    }

    #[test]
    fn noise_is_cut_off_even_without_a_newline() {
        let (capture, lines, result) = run(&[b"Welcome! NO", b"NCE\nhello\nwor", b"ld"], 100);
        assert_eq!(result, Ok(()));
        assert_eq!(capture.noise, b"Welcome! ");
        assert_eq!(capture.kept, b"hello\nworld");
        assert_eq!(lines, ["hello", "world"]);
    }

    #[test]
    fn a_flood_is_cut() {
        let (capture, _, result) = run(&[b"NONCE\n", b"123456", b"789"], 8);
        assert_eq!(
            result,
            Err(Flood {
                stream: OutputStream::Stdout,
                limit: 8
            })
        );
        assert_eq!(capture.kept, b"12345678");
        let (_, _, result) = run(&[&vec![b'x'; MAX_NOISE + 1]], 8);
        assert_eq!(
            result,
            Err(Flood {
                stream: OutputStream::Stdout,
                limit: MAX_NOISE
            })
        );
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        let mut data = b"NONCE\n".to_vec();
        data.extend(vec![b'x'; MAX_LINE * 2 + 3]);
        data.extend(b"\nend\n");
        let (_, lines, _) = run(&[&data], 1 << 20);
        let lengths: Vec<_> = lines.iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, 3, 3]);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(body in "[a-z\n]{0,60}", noise in "[A-Z]{0,9}", size in 1usize..9) {
            let whole = format!("{noise}NONCE\n{body}");
            let chunks: Vec<&[u8]> = whole.as_bytes().chunks(size).collect();
            let (capture, lines, result) = run(&chunks, 1000);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(&capture.kept, body.as_bytes());
            let expected: Vec<_> = body.lines().map(str::to_string).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}
