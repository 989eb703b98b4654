//! Patterns of names as Python's `fnmatch` has them: `*`, `?`, `[a-z]`, `[!a-z]`.

/// One element of a pattern.
enum Element {
    /// Any characters, or none.
    Many,
    /// A character that is, or is not, in one of these ranges.
    One {
        ranges: Vec<(char, char)>,
        is_in: bool,
    },
}

impl Element {
    fn admits(&self, char: char) -> bool {
        match self {
            Self::Many => true,
            Self::One { ranges, is_in } => {
                *is_in
                    == ranges
                        .iter()
                        .any(|(first, last)| (*first..=*last).contains(&char))
            }
        }
    }
}

/// Whether a pattern fits a whole text, upper and lower case told apart.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let pattern = elements(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut element) = (0, 0);
    // Where to go on if what follows the last `*` does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(element) {
            Some(Element::Many) => {
                retry = Some((at + 1, element));
                element += 1;
                continue;
            }
            Some(one) if one.admits(text[at]) => {
                at += 1;
                element += 1;
                continue;
            }
            _ => {}
        }
        let Some((next, star)) = retry else {
            return false;
        };
        (at, element) = (next, star);
    }
    pattern[element..]
        .iter()
        .all(|element| matches!(element, Element::Many))
}

fn elements(pattern: &str) -> Vec<Element> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut elements = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(char) = chars.get(at) {
        at += 1;
        elements.push(match char {
            '*' => Element::Many,
            '?' => Element::One {
                ranges: Vec::new(),
                is_in: false,
            },
            '[' => match set(&chars[at..]) {
                Some((element, length)) => {
                    at += length;
                    element
                }
                None => literal('['),
            },
            other => literal(*other),
        });
    }
    elements
}

fn literal(char: char) -> Element {
    Element::One {
        ranges: vec![(char, char)],
        is_in: true,
    }
}

/// What stands after `[`, and its length with the `]`; None where nothing closes it.
fn set(chars: &[char]) -> Option<(Element, usize)> {
    let is_in = chars.first() != Some(&'!');
    let start = usize::from(!is_in);
    // A `]` right at the start means itself.
    let length = chars
        .get(start + 1..)?
        .iter()
        .position(|char| *char == ']')?
        + 1;
    let mut members = &chars[start..start + length];
    let mut ranges = Vec::new();
    loop {
        members = match members {
            [first, '-', last, rest @ ..] => {
                ranges.push((*first, *last));
                rest
            }
            [only, rest @ ..] => {
                ranges.push((*only, *only));
                rest
            }
            [] => break,
        };
    }
    Some((Element::One { ranges, is_in }, start + length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_pythons_do() {
        for (pattern, text) in [
            ("*", ""),
            ("prod-*", "prod-eu"),
            ("*-eu", "prod-eu"),
            ("p?od*", "prod"),
            ("*a*b*", "xxaxxbxx"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[", "["),
            ("a[", "a["),
            ("arn:aws:*/eu", "arn:aws:eks/eu"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("prod-*", "prod"),
            ("Prod", "prod"),
            ("?", ""),
            ("[a-c]", "d"),
            ("[!a-c]", "a"),
            ("*a", "ab"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_end_soon() {
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199).repeat(2)[..199]));
        assert!(!fits(&("*a".repeat(100) + "b"), &"a".repeat(2000)));
    }
}
