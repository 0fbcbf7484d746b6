//! Counts and sums, from which all sites together get means and deviations.

use crate::{
    error::Error,
    json::Value,
    model::Model,
    params::{Summarize, features},
    table::{Feature, GROUPS, LANES, Lanes, MIN_ROWS, Table},
};

/// Sums over the training rows of one site or of several.
pub struct Summary {
    rows: f64,
    features: Vec<Feature>,
    /// Rows in which a feature is not missing.
    count: Vec<f64>,
    sum: Vec<f64>,
    sum_of_squares: Vec<f64>,
}

/// Sums up the training rows of a table.
///
/// A feature that fewer rows have than may be summed up counts as one that none has.
pub fn summarize(text: &str, params: &Summarize) -> Result<Summary, Error> {
    let table = Table::read(text, &params.features, &params.selection, false)?;
    let width = params.features.len();
    let mut sums = vec![[[0.0; LANES]; 3]; width];
    for block in table.blocks() {
        add(&mut sums, block.map(|(rows, _)| rows));
    }
    let [mut count, mut sum, mut sum_of_squares] =
        [0, 1, 2].map(|which| sums.iter().map(|sums| sums[which].iter().sum()).collect::<Vec<f64>>());
    for index in 0..width {
        if count[index] < params.selection.min_rows.max(MIN_ROWS) as f64 {
            (count[index], sum[index], sum_of_squares[index]) = (0.0, 0.0, 0.0);
        }
    }
    Ok(Summary { rows: table.len() as f64, features: params.features.clone(), count, sum, sum_of_squares })
}

/// Adds how many rows of a block have each feature, their sum and that of their squares.
fn add(sums: &mut [[Lanes; 3]], [first, second, third, fourth]: [&[Lanes]; GROUPS]) {
    for ((((sums, first), second), third), fourth) in sums.iter_mut().zip(first).zip(second).zip(third).zip(fourth) {
        let [mut count, mut sum, mut sum_of_squares] = *sums;
        for values in [first, second, third, fourth] {
            for lane in 0..LANES {
                let value = if values[lane].is_nan() { 0.0 } else { values[lane] };
                count[lane] += if values[lane].is_nan() { 0.0 } else { 1.0 };
                sum[lane] += value;
                sum_of_squares[lane] += value * value;
            }
        }
        *sums = [count, sum, sum_of_squares];
    }
}

impl Summary {
    /// Reads what [`write`](Self::write) wrote.
    pub fn read(value: &Value) -> Result<Self, Error> {
        let features = features(value)?;
        let width = features.len();
        Ok(Self {
            rows: value.count("rows")?,
            count: value.counts("count", width)?,
            sum: value.list("sum", width)?,
            sum_of_squares: value.list("sum_of_squares", width)?,
            features,
        })
    }

    /// As a result.
    pub fn write(&self) -> Value {
        Value::object([
            ("step", Value::String("summarize".into())),
            ("rows", Value::Number(self.rows)),
            ("features", Value::strings(&self.features)),
            ("count", Value::numbers(&self.count)),
            ("sum", Value::numbers(&self.sum)),
            ("sum_of_squares", Value::numbers(&self.sum_of_squares)),
        ])
    }

    /// Adds those of another site.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        if self.features != other.features {
            return Err(Error::new("it has other features than the first"));
        }
        self.rows += other.rows;
        for (mine, theirs) in [
            (&mut self.count, &other.count),
            (&mut self.sum, &other.sum),
            (&mut self.sum_of_squares, &other.sum_of_squares),
        ] {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        Ok(())
    }

    /// The model that knows means and deviations, and nothing yet. A feature that is always the same has deviation 1.
    pub fn model(&self) -> Model {
        let width = self.features.len();
        let (mut mean, mut deviation) = (vec![0.0; width], vec![1.0; width]);
        for index in (0..width).filter(|index| self.count[*index] > 0.0) {
            mean[index] = self.sum[index] / self.count[index];
            let variance = self.sum_of_squares[index] / self.count[index] - mean[index] * mean[index];
            // Below that it is what rounding leaves.
            if variance > 1e-12 * self.sum_of_squares[index] / self.count[index] {
                deviation[index] = variance.sqrt();
            }
        }
        Model { features: self.features.clone(), mean, deviation, intercept: 0.0, weights: vec![0.0; width] }
    }
}
