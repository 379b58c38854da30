//! Lines over the number of hospitals, on logarithmic axes, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Left, right, top and bottom of the drawing's area.
const AREA: (f64, f64, f64, f64) = (80.0, 540.0, 50.0, 390.0);
/// Colors that color-blind readers distinguish (Okabe and Ito), and dashes for those who see none.
const STYLES: [(&str, &str); 4] =
    [("#0072b2", ""), ("#d55e00", "8 4"), ("#009e73", "2 4"), ("#cc79a7", "12 4 2 4")];

/// A line and its name.
pub struct Line {
    pub name: &'static str,
    /// Hospitals and value. Values that are not above zero are left out.
    pub points: Vec<(f64, f64)>,
}

/// A plot. `label` writes a value at the axis.
pub fn plot(title: &str, lines: &[Line], label: impl Fn(f64) -> String) -> String {
    let points = || lines.iter().flat_map(|line| &line.points).filter(|(_, y)| *y > 0.0);
    let x = Axis::of(points().map(|(x, _)| *x), (AREA.0, AREA.1));
    let y = Axis::of(points().map(|(_, y)| *y), (AREA.3, AREA.2));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"25\" font-size=\"15\">{title}</text>\n",
        AREA.0
    );
    for (power, at) in x.ticks() {
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {}V{}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"408\" \
             text-anchor=\"middle\">{power:.0}</text>",
            AREA.2, AREA.3
        );
    }
    for (power, at) in y.ticks() {
        let _ = writeln!(
            svg,
            "<path d=\"M{} {at:.1}H{}\" stroke=\"#ddd\"/><text x=\"72\" y=\"{:.1}\" \
             text-anchor=\"end\">{}</text>",
            AREA.0,
            AREA.1,
            at + 4.0,
            label(power)
        );
    }
    let _ = writeln!(svg, "<text x=\"310\" y=\"430\" text-anchor=\"middle\">hospitals</text>");
    for (number, (line, (color, dashes))) in lines.iter().zip(STYLES).enumerate() {
        let stroke = format!("fill=\"none\" stroke=\"{color}\" stroke-dasharray=\"{dashes}\"");
        let path: Vec<String> = line
            .points
            .iter()
            .filter(|(_, y)| *y > 0.0)
            .map(|(hospitals, value)| format!("{:.1} {:.1}", x.at(*hospitals), y.at(*value)))
            .collect();
        if !path.is_empty() {
            let _ = writeln!(svg, "<path d=\"M{}\" {stroke} stroke-width=\"2\"/>", path.join("L"));
        }
        let legend = 70.0 + 22.0 * number as f64;
        let _ = writeln!(
            svg,
            "<path d=\"M556 {legend}H586\" {stroke} stroke-width=\"2\"/><text x=\"592\" \
             y=\"{}\">{}</text>",
            legend + 4.0,
            line.name
        );
    }
    svg + "</svg>\n"
}

/// A logarithmic axis, from a power of ten to another.
struct Axis {
    least: f64,
    most: f64,
    pixels: (f64, f64),
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let logarithms = values.map(f64::log10);
        let (least, most) = logarithms
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), it| {
                (least.min(it), most.max(it))
            });
        let (least, most) = if least.is_finite() { (least, most) } else { (0.0, 1.0) };
        Self { least: least.floor(), most: most.ceil().max(least.floor() + 1.0), pixels }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - self.least) / (self.most - self.least);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    fn ticks(&self) -> Vec<(f64, f64)> {
        let powers = (self.least as i32)..=(self.most as i32);
        powers.map(|power| 10_f64.powi(power)).map(|value| (value, self.at(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let lines = [Line { name: "flat", points: vec![(10.0, 1.0), (1_000.0, 100.0)] }];
        let svg = plot("T", &lines, |value| format!("{value} s"));
        assert!(svg.contains("M80.0 390.0L540.0 50.0"), "{svg}");
        assert!(svg.contains(">flat</text>") && svg.contains(">100 s</text>"), "{svg}");
    }

    #[test]
    fn what_never_happens_is_left_out() {
        let lines = [
            Line { name: "a", points: vec![(10.0, 0.0)] },
            Line { name: "b", points: vec![(10.0, 5.0), (100.0, 0.0)] },
        ];
        let svg = plot("T", &lines, |value| value.to_string());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
