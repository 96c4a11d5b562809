//! The table of a model's figures.

use crate::evaluation::{Figures, Scored};

/// Prints a row for each figure that any column has, a column for each engine and one for the test images.
pub(super) fn print(columns: &[(&'static str, Scored)], data: &Figures) {
    let Some((_, first)) = columns.first() else {
        return;
    };
    let rows: Vec<_> = first
        .figures
        .0
        .iter()
        .filter(|figure| figure.value.is_some())
        .collect();
    let width = rows.iter().map(|figure| figure.protocol.len()).max();
    let width = width.unwrap_or(0);
    let names: String = columns
        .iter()
        .map(|(name, _)| format!("{name:>11}"))
        .collect();
    say!("{:width$}{names}{:>13}", "", "test images");
    for figure in rows {
        let of_columns = columns
            .iter()
            .map(|(_, scored)| scored.figures.get(&figure.key));
        let cells: String = of_columns
            .map(|value| format!("{:>11}", cell(value)))
            .collect();
        let usual = match data.get(&figure.key) {
            None => String::new(),
            value => format!("{:>13}", cell(value)),
        };
        say!("{:width$}{cells}{usual}", figure.protocol);
    }
}

/// A figure in at most ten characters.
fn cell(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.is_infinite() => "infinite".to_owned(),
        Some(value) if value.abs() >= 10_000.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.3}"),
        Some(value) if value == 0.0 || value.abs() >= 0.0001 => format!("{value:.5}"),
        Some(value) => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_keeps_what_matters() {
        let cells = [8.80412, 0.031234, 0.0000123, -0.00002, 0.0, 123456.7, 1.0]
            .map(|value| cell(Some(value)));
        let expected = [
            "8.804", "0.03123", "1.23e-5", "-2.00e-5", "0.00000", "123457", "1.000",
        ];
        assert_eq!(cells, expected);
        assert_eq!(cell(Some(f64::INFINITY)), "infinite");
        assert_eq!(cell(None), "-");
    }
}
