//! Logistic regression: the model, and gradient descent at one site.

use crate::{
    error::Error,
    json::Value,
    params::{Train, features},
    table::{Feature, Table},
};

/// Predicts the probability that a row's label is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub features: Vec<Feature>,
    /// Of each feature over all sites; takes the place of a missing value.
    pub mean: Vec<f64>,
    /// Standard deviation of each feature over all sites, above zero.
    pub deviation: Vec<f64>,
    /// Log-odds of a row whose features all are the mean.
    pub intercept: f64,
    /// Log-odds for a standard deviation of each feature.
    pub weights: Vec<f64>,
}

impl Model {
    /// Reads it from an object that may have more than that.
    pub fn read(value: &Value) -> Result<Self, Error> {
        let features = features(value)?;
        let width = features.len();
        let deviation = value.list("deviation", width)?;
        if deviation.iter().any(|deviation| *deviation <= 0.0) {
            return Err(Error::new("`deviation` is to be above zero"));
        }
        Ok(Self {
            mean: value.list("mean", width)?,
            deviation,
            intercept: value.number("intercept")?,
            weights: value.list("weights", width)?,
            features,
        })
    }

    /// Its part of an object.
    pub fn write(&self) -> Vec<(String, Value)> {
        let entries = [
            ("features", Value::strings(&self.features)),
            ("mean", Value::numbers(&self.mean)),
            ("deviation", Value::numbers(&self.deviation)),
            ("intercept", Value::Number(self.intercept)),
            ("weights", Value::numbers(&self.weights)),
        ];
        entries.map(|(key, value)| (key.to_owned(), value)).to_vec()
    }

    /// Log-odds that the label of a standardised row is 1.
    pub fn log_odds(&self, row: &[f64]) -> f64 {
        self.intercept + dot(&self.weights, row)
    }
}

/// A model after some epochs at a site, or the average of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    pub model: Model,
    /// How many rows it was trained on, its weight in the average.
    pub rows: f64,
    /// Mean over these rows after the training, without what L2 adds.
    pub log_loss: f64,
}

/// Descends the gradient over all training rows of a table, once an epoch.
///
/// The loss is the mean log loss plus `l2 / 2` times the sum of the weights' squares, the intercept left out.
pub fn train(text: &str, params: &Train) -> Result<Trained, Error> {
    let mut model = params.model.clone();
    let mut table = Table::read(text, &model.features, &params.selection, false)?;
    table.standardize(&model.mean, &model.deviation);
    let rows = table.len() as f64;
    for _ in 0..params.epochs {
        let (mut intercept, mut weights) = (0.0, vec![0.0; model.weights.len()]);
        for (row, label) in table.rows().zip(&table.labels) {
            let error = probability(model.log_odds(row)) - label;
            intercept += error;
            add(&mut weights, error, row);
        }
        model.intercept -= params.learning_rate * intercept / rows;
        for (weight, gradient) in model.weights.iter_mut().zip(&weights) {
            *weight -= params.learning_rate * (gradient / rows + params.l2 * *weight);
        }
    }
    let loss: f64 = table.rows().zip(&table.labels).map(|(row, label)| log_loss(model.log_odds(row), *label)).sum();
    Ok(Trained { model, rows, log_loss: loss / rows })
}

impl Trained {
    /// Reads what [`write`](Self::write) wrote.
    pub fn read(value: &Value) -> Result<Self, Error> {
        Ok(Self { model: Model::read(value)?, rows: value.count("rows")?, log_loss: value.number("log_loss")? })
    }

    /// As a result.
    pub fn write(&self) -> Value {
        let mut entries = vec![
            ("step".to_owned(), Value::String("train".into())),
            ("rows".to_owned(), Value::Number(self.rows)),
            ("log_loss".to_owned(), Value::Number(self.log_loss)),
        ];
        entries.extend(self.model.write());
        Value::Object(entries)
    }

    /// Averages with what another site has trained, each weighing as many as it has rows.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        let (mine, theirs) = (&mut self.model, &other.model);
        if (&mine.features, &mine.mean, &mine.deviation) != (&theirs.features, &theirs.mean, &theirs.deviation) {
            return Err(Error::new("it has other features, means or deviations than the first"));
        }
        self.rows += other.rows;
        if self.rows == 0.0 {
            return Err(Error::new("neither it nor those before it have rows"));
        }
        let share = other.rows / self.rows;
        let average = |mine: &mut f64, theirs: f64| *mine = *mine * (1.0 - share) + theirs * share;
        average(&mut self.log_loss, other.log_loss);
        average(&mut mine.intercept, theirs.intercept);
        mine.weights.iter_mut().zip(&theirs.weights).for_each(|(mine, theirs)| average(mine, *theirs));
        Ok(())
    }
}

/// The sum of products, in four sums that do not wait for each other. Always in the same order, for that decides the last bits.
fn dot(one: &[f64], other: &[f64]) -> f64 {
    let ((fours, rest), (other_fours, other_rest)) = (one.as_chunks::<4>(), other.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (one, other) in fours.iter().zip(other_fours) {
        for lane in 0..4 {
            sums[lane] += one[lane] * other[lane];
        }
    }
    let rest: f64 = rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

/// Adds a multiple of numbers to others, four at a time.
fn add(to: &mut [f64], times: f64, what: &[f64]) {
    let ((fours, rest), (what_fours, what_rest)) = (to.as_chunks_mut::<4>(), what.as_chunks::<4>());
    for (to, what) in fours.iter_mut().zip(what_fours) {
        for lane in 0..4 {
            to[lane] += times * what[lane];
        }
    }
    rest.iter_mut().zip(what_rest).for_each(|(to, what)| *to += times * what);
}

/// The probability of log-odds.
pub fn probability(log_odds: f64) -> f64 {
    if log_odds >= 0.0 {
        1.0 / (1.0 + (-log_odds).exp())
    } else {
        let odds = log_odds.exp();
        odds / (1.0 + odds)
    }
}

/// Minus the logarithm of the probability that log-odds give to a label.
pub fn log_loss(log_odds: f64, label: f64) -> f64 {
    (-log_odds.abs()).exp().ln_1p() + log_odds.max(0.0) - label * log_odds
}
