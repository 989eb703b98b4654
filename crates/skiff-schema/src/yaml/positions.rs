//! From the parser's positions, counted in characters, to bytes.

/// Every so many characters one byte position is kept.
const STEP: usize = 64;

/// The way from characters to bytes of one text.
pub(super) struct Positions<'a> {
    text: &'a str,
    /// Byte positions of every [`STEP`]th character; None where characters are bytes.
    steps: Option<Vec<usize>>,
}

impl<'a> Positions<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let steps = (!text.is_ascii()).then(|| {
            text.char_indices()
                .step_by(STEP)
                .map(|(at, _)| at)
                .collect()
        });
        Self { text, steps }
    }

    /// The byte at which a character begins; the text's length for one past its end.
    pub(super) fn byte(&self, character: usize) -> usize {
        let Some(steps) = &self.steps else {
            return character.min(self.text.len());
        };
        let Some(start) = steps.get(character / STEP) else {
            return self.text.len();
        };
        let rest = &self.text[*start..];
        rest.char_indices()
            .nth(character % STEP)
            .map_or(self.text.len(), |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::Positions;

    #[test]
    fn characters_of_every_width_are_found() {
        let text = "aä€😀".repeat(100);
        let positions = Positions::of(&text);
        for (index, (at, _)) in text.char_indices().enumerate() {
            assert_eq!(positions.byte(index), at);
        }
        assert_eq!(positions.byte(400), text.len());
        assert_eq!(positions.byte(4000), text.len());
    }
}
