//! Results: medians, targets, and how both are written. Pure: it measures nothing.

use std::fmt;

use serde_json::{Value, json};

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Mebibytes,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "s",
            Self::Mebibytes => "MiB",
        })
    }
}

/// What a value must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// At most this many times the reference.
    TimesReference(f64),
    /// At most this much more than the reference.
    OverReference(f64),
    /// At most this.
    AtMost(f64),
}

impl Target {
    /// Writes the target with its unit.
    fn text(self, unit: Unit) -> String {
        match self {
            Self::TimesReference(factor) => format!("<= {factor:.1} x reference"),
            Self::OverReference(more) => format!("<= reference + {more} {unit}"),
            Self::AtMost(limit) => format!("<= {limit} {unit}"),
        }
    }

    /// True if the value reaches the target; a target that needs a reference fails without one.
    fn is_reached(self, value: f64, reference: Option<f64>) -> bool {
        match (self, reference) {
            (Self::AtMost(limit), _) => value <= limit,
            (Self::TimesReference(factor), Some(reference)) => value <= factor * reference,
            (Self::OverReference(more), Some(reference)) => value <= reference + more,
            (_, None) => false,
        }
    }
}

/// The results of several runs of one side.
#[derive(Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The middle one; of an even number, the mean of the two in the middle.
    pub(super) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = sorted.get(middle)?;
        if sorted.len() % 2 == 1 {
            return Some(*upper);
        }
        Some(f64::midpoint(sorted[middle - 1], *upper))
    }
}

/// One measured value beside its reference.
pub(super) struct Measurement {
    pub(super) value: f64,
    pub(super) reference: Option<f64>,
    pub(super) unit: Unit,
    pub(super) target: Target,
    pub(super) runs: usize,
}

impl Measurement {
    fn ratio(&self) -> Option<f64> {
        Some(self.value / self.reference?)
    }

    fn verdict(&self) -> &'static str {
        if self.target.is_reached(self.value, self.reference) {
            "reached"
        } else {
            "missed"
        }
    }

    /// One line for the progress.
    pub(super) fn summary(&self) -> String {
        let target = self.target.text(self.unit);
        format!(
            "{:.3} {}, {} ({target})",
            self.value,
            self.unit,
            self.verdict()
        )
    }

    /// The object that later runs are compared with.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "value": rounded(self.value),
            "reference": self.reference.map(rounded),
            "ratio": self.ratio().map(rounded),
            "unit": self.unit.to_string(),
            "target": self.target.text(self.unit),
            "runs": self.runs,
        })
    }

    /// The cells of the table.
    pub(super) fn row(&self, name: &str) -> [String; 7] {
        let number = |value: Option<f64>| value.map_or_else(|| "-".into(), |n| format!("{n:.3}"));
        [
            name.to_owned(),
            format!("{:.3} {}", self.value, self.unit),
            number(self.reference),
            number(self.ratio()),
            self.target.text(self.unit),
            self.verdict().to_owned(),
            self.runs.to_string(),
        ]
    }
}

/// The rows in aligned columns under their headings.
pub(super) fn table(rows: &[[String; 7]]) -> String {
    let headings = ["NAME", "VALUE", "REFERENCE", "RATIO", "TARGET", "", "RUNS"].map(str::to_owned);
    let every: Vec<&[String; 7]> = std::iter::once(&headings).chain(rows).collect();
    let mut widths = [0; 7];
    for row in &every {
        for (width, cell) in widths.iter_mut().zip(row.iter()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in every {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push('\n');
        text.push_str(cells.join("  ").trim_end());
    }
    text
}

/// Six digits are more than any of these values has.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples(values.to_vec())
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        assert_eq!(samples(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(samples(&[4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(samples(&[]).median(), None);
    }

    #[test]
    fn targets_compare_with_their_reference() {
        assert!(Target::TimesReference(1.5).is_reached(1.5, Some(1.0)));
        assert!(!Target::TimesReference(1.5).is_reached(1.6, Some(1.0)));
        assert!(Target::OverReference(1.5).is_reached(2.4, Some(1.0)));
        assert!(Target::AtMost(4.0).is_reached(4.0, None));
        assert!(!Target::TimesReference(1.5).is_reached(0.1, None));
    }

    #[test]
    fn the_result_has_the_six_documented_fields() {
        let measurement = Measurement {
            value: 1.2,
            reference: Some(1.0),
            unit: Unit::Seconds,
            target: Target::TimesReference(1.5),
            runs: 7,
        };
        let expected = json!({
            "value": 1.2,
            "reference": 1.0,
            "ratio": 1.2,
            "unit": "s",
            "target": "<= 1.5 x reference",
            "runs": 7,
        });
        assert_eq!(measurement.to_json(), expected);
    }

    #[test]
    fn columns_are_aligned() {
        let row = |name: &str| [name, "1", "2", "3", "4", "5", "6"].map(str::to_owned);
        let text = table(&[row("a"), row("longer")]);
        let columns: Vec<_> = text.lines().skip(2).map(|line| line.find('1')).collect();
        assert_eq!(columns, [Some(8), Some(8)]);
    }
}
