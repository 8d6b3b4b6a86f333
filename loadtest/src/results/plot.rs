//! A bar chart per scenario, as SVG: one bar a round, and one for Hydra where its figure is known.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const OURS: RGBColor = RGBColor(31, 111, 178);
const THEIRS: RGBColor = RGBColor(214, 132, 50);
const WIDTH: u32 = 640;

/// One bar: its label, its length, and whether it is ours.
pub struct Bar {
    pub label: String,
    pub value: f64,
    pub ours: bool,
}

/// Draws a chart to a file.
pub fn draw(file: &Path, title: &str, bars: &[Bar]) -> Result<()> {
    let height = 90 + 34 * u32::try_from(bars.len())?;
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    draw_on(&area, title, bars).map_err(|error| anyhow!("cannot draw {}: {error}", file.display()))
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw_on<'a>(area: &Canvas<'a>, title: &str, bars: &[Bar]) -> Result<(), Failure<'a>> {
    let most = bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22))
        .margin(12)
        .margin_left(130)
        .x_label_area_size(28)
        .build_cartesian_2d(0.0..most * 1.15, 0.0..bars.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .label_style(("sans-serif", 15))
        .x_label_formatter(&|value| format!("{value:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (n, bar) in bars.iter().enumerate() {
        // From the top down, with a gap between them.
        let (low, high) = ((bars.len() - 1 - n) as f64 + 0.18, (bars.len() - n) as f64 - 0.18);
        let middle = f64::midpoint(low, high);
        let colour = if bar.ours { OURS } else { THEIRS };
        let text = |pos| TextStyle::from(("sans-serif", 18)).pos(Pos::new(pos, VPos::Center));
        chart.draw_series([Rectangle::new([(0.0, low), (bar.value, high)], colour.filled())])?;
        let value = EmptyElement::at((bar.value, middle)) + Text::new(number(bar.value), (5, 0), text(HPos::Left));
        let label = EmptyElement::at((0.0, middle)) + Text::new(bar.label.clone(), (-8, 0), text(HPos::Right));
        chart.draw_series([value])?;
        chart.draw_series([label])?;
    }
    area.present()
}

/// A rate for a reader.
fn number(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.1}k", value / 1000.0) } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_labels_and_a_bar_each() -> Result<()> {
        let file = std::env::temp_dir().join(format!("signet-loadtest-{}.svg", std::process::id()));
        let bar = |label: &str, value, ours| Bar { label: label.to_owned(), value, ours };
        draw(&file, "code-flow, flows a second", &[bar("round 1", 812.0, true), bar("Hydra", 66.0, false)])?;
        let svg = std::fs::read_to_string(&file)?;
        std::fs::remove_file(&file)?;
        for text in ["code-flow, flows a second", "round 1", "Hydra", "812", "66"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert_eq!(svg.matches("#1F6FB2").count() + svg.matches("#D68432").count(), 2, "{svg}");
        Ok(())
    }
}
