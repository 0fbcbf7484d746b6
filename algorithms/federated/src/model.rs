//! Logistic regression: the model, and gradient descent at one site.

use crate::{
    error::Error,
    json::Value,
    params::{Train, features},
    table::{Feature, GROUPS, LANES, Lanes, Table},
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

    /// Log-odds that the labels of standardised rows are 1.
    pub fn log_odds(&self, rows: &[Lanes]) -> Lanes {
        let mut sums = [self.intercept; LANES];
        self.add_products(rows, &mut sums);
        sums
    }

    /// Adds the products one after the other, for the order decides the last bits, some at a time: between two times the sums leave
    /// their registers. Not inlined, as [`descend`] and [`probabilities`]: apart from others each of them works on vectors.
    #[inline(never)]
    fn add_products(&self, rows: &[Lanes], to: &mut Lanes) {
        let mut sums = *to;
        let mut add = |weight: f64, values: &Lanes| {
            for lane in 0..LANES {
                sums[lane] += weight * values[lane];
            }
        };
        let (weights, rest) = self.weights.as_chunks::<4>();
        let (groups, last) = rows.as_chunks::<4>();
        for (weights, rows) in weights.iter().zip(groups) {
            weights.iter().zip(rows).for_each(|(weight, values)| add(*weight, values));
        }
        rest.iter().zip(last).for_each(|(weight, values)| add(*weight, values));
        *to = sums;
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
        let (mut intercept, mut weights) = ([0.0; LANES], vec![[0.0; LANES]; model.weights.len()]);
        for block in table.blocks() {
            let errors = block.map(|(rows, labels)| {
                let probabilities = probabilities(model.log_odds(rows));
                // Where there is no row there is no error.
                let error = |lane: usize| if labels[lane].is_nan() { 0.0 } else { probabilities[lane] - labels[lane] };
                let errors: Lanes = std::array::from_fn(error);
                intercept.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error);
                errors
            });
            descend(&mut weights, &errors, block.map(|(rows, _)| rows));
        }
        let mean = |sums: &Lanes| sums.iter().sum::<f64>() / rows;
        model.intercept -= params.learning_rate * mean(&intercept);
        for (weight, gradient) in model.weights.iter_mut().zip(&weights) {
            *weight -= params.learning_rate * (mean(gradient) + params.l2 * *weight);
        }
    }
    let mut loss = 0.0;
    for (group, labels) in table.groups() {
        let rows = model.log_odds(group).into_iter().zip(labels).filter(|(_, label)| !label.is_nan());
        loss += rows.map(|(log_odds, label)| log_loss(log_odds, *label)).sum::<f64>();
    }
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

/// Adds to the gradient of each weight what the errors in a block are times its feature.
#[inline(never)]
fn descend(weights: &mut [Lanes], errors: &[Lanes; GROUPS], [first, second, third, fourth]: [&[Lanes]; GROUPS]) {
    for ((((sums, first), second), third), fourth) in weights.iter_mut().zip(first).zip(second).zip(third).zip(fourth) {
        let mut sum = *sums;
        for (errors, values) in errors.iter().zip([first, second, third, fourth]) {
            for lane in 0..LANES {
                sum[lane] += errors[lane] * values[lane];
            }
        }
        *sums = sum;
    }
}

/// The probabilities of log-odds.
#[inline(never)]
pub fn probabilities(log_odds: Lanes) -> Lanes {
    let odds = odds_against(log_odds);
    std::array::from_fn(|lane| (if log_odds[lane] >= 0.0 { 1.0 } else { odds[lane] }) / (1.0 + odds[lane]))
}

/// How many times less likely the less likely label is: `exp(-|log_odds|)`, to within two units of the last digit. In operations that
/// round in the same way on every processor, and on all lanes at a time.
fn odds_against(log_odds: Lanes) -> Lanes {
    /// Rounds to a whole number what is added to it, which its last bits then have.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    /// The logarithm of 2: 32 bits of it, so that multiples of it are exact, and the rest.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    /// Below it there is nothing to tell from 0.
    const LEAST: f64 = -700.0;
    /// The series of `exp` to where `ln(2) / 2` makes no difference any more.
    const SERIES: [f64; 14] = {
        let (mut terms, mut index) = ([1.0; 14], 1);
        while index < terms.len() {
            terms[index] = terms[index - 1] / index as f64;
            index += 1;
        }
        terms
    };
    std::array::from_fn(|lane| {
        let exponent = -log_odds[lane].abs();
        let exponent = if exponent < LEAST { LEAST } else { exponent };
        let shifted = exponent * std::f64::consts::LOG2_E + WHOLE;
        let whole = shifted - WHOLE;
        let rest = exponent - whole * LN_2[0] - whole * LN_2[1];
        // Even and odd powers apart, which do not wait for each other.
        let (square, mut even, mut odd) = (rest * rest, SERIES[12], SERIES[13]);
        for index in (0..6).rev() {
            even = even * square + SERIES[2 * index];
            odd = odd * square + SERIES[2 * index + 1];
        }
        (even + odd * rest) * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0_f64.to_bits()))
    })
}

/// Minus the logarithm of the probability that log-odds give to a label.
pub fn log_loss(log_odds: f64, label: f64) -> f64 {
    (-log_odds.abs()).exp().ln_1p() + log_odds.max(0.0) - label * log_odds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_those_of_the_exponential_function() {
        let mut worst = 0.0_f64;
        for step in 0..100_000 {
            let exponents: Lanes = std::array::from_fn(|lane| (step * LANES + lane) as f64 / 1143.0 - 350.0);
            for (odds, exponent) in odds_against(exponents).into_iter().zip(exponents) {
                let expected = (-exponent.abs()).exp();
                worst = worst.max((odds - expected).abs() / expected);
            }
        }
        assert!(worst < 2.0 * f64::EPSILON, "{worst}");
        let odds = odds_against([0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 700.0, 800.0, 1e-300]);
        assert_eq!([odds[0], odds[1], odds[7]], [1.0; 3]);
        assert!(odds[2] < 1e-300 && odds[2] == odds[3] && odds[2] == odds[6] && odds[4].is_nan());
    }

    #[test]
    fn probabilities_add_up_to_one() {
        let log_odds = [0.0, 0.5, 3.0, 30.0, -0.5, -3.0, -30.0, 1000.0];
        let (one, other) = (probabilities(log_odds), probabilities(log_odds.map(|value| -value)));
        assert_eq!((one[0], one[7]), (0.5, 1.0));
        assert!(one.iter().zip(other).all(|(one, other)| (one + other - 1.0).abs() < 2.0 * f64::EPSILON));
    }
}
