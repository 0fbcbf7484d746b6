//! How well a model predicts rows that it was not trained on, as counts that can be added up over sites.

use crate::{
    error::Error,
    json::Value,
    model::{log_loss, probabilities},
    params::Evaluate,
    table::Table,
};

/// Counts over the held-out rows of one site or of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    rows: f64,
    /// Rows whose label is the more probable one.
    correct: f64,
    /// Sum over the rows.
    log_loss: f64,
    /// Rows with label 1 by their predicted probability, in intervals of equal width from 0 to 1.
    positives: Vec<f64>,
    /// Rows with label 0, likewise.
    negatives: Vec<f64>,
}

/// Predicts the held-out rows of a table.
pub fn evaluate(text: &str, params: &Evaluate) -> Result<Evaluation, Error> {
    let (model, bins) = (&params.model, params.bins);
    let mut table = Table::read(text, &model.features, &params.selection, true)?;
    table.standardize(&model.mean, &model.deviation);
    let mut found = Evaluation {
        rows: table.len() as f64,
        correct: 0.0,
        log_loss: 0.0,
        positives: vec![0.0; bins],
        negatives: vec![0.0; bins],
    };
    for (group, labels) in table.groups() {
        let log_odds = model.log_odds(group);
        let predicted = log_odds.into_iter().zip(probabilities(log_odds)).zip(labels);
        for ((log_odds, probability), label) in predicted.filter(|(_, label)| !label.is_nan()) {
            found.correct += f64::from(u8::from((probability >= 0.5) == (*label == 1.0)));
            found.log_loss += log_loss(log_odds, *label);
            let of = if *label == 1.0 { &mut found.positives } else { &mut found.negatives };
            of[((probability * bins as f64) as usize).min(bins - 1)] += 1.0;
        }
    }
    Ok(found)
}

impl Evaluation {
    /// Reads what [`write`](Self::write) wrote.
    pub fn read(value: &Value) -> Result<Self, Error> {
        let bins = match value.get("positives")? {
            Value::Array(values) => values.len(),
            _ => 0,
        };
        Ok(Self {
            rows: value.count("rows")?,
            correct: value.count("correct")?,
            log_loss: value.number("log_loss_sum")?,
            positives: value.counts("positives", bins)?,
            negatives: value.counts("negatives", bins)?,
        })
    }

    /// As a result.
    pub fn write(&self) -> Value {
        Value::object([
            ("step", Value::String("evaluate".into())),
            ("rows", Value::Number(self.rows)),
            ("correct", Value::Number(self.correct)),
            ("log_loss_sum", Value::Number(self.log_loss)),
            ("positives", Value::numbers(&self.positives)),
            ("negatives", Value::numbers(&self.negatives)),
        ])
    }

    /// Adds those of another site.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        if self.positives.len() != other.positives.len() {
            return Err(Error::new("it has other bins than the first"));
        }
        self.rows += other.rows;
        self.correct += other.correct;
        self.log_loss += other.log_loss;
        self.positives.iter_mut().zip(&other.positives).for_each(|(mine, theirs)| *mine += theirs);
        self.negatives.iter_mut().zip(&other.negatives).for_each(|(mine, theirs)| *mine += theirs);
        Ok(())
    }

    /// The share of rows predicted right, the mean log loss, and the AUC; null where there is nothing to tell.
    pub fn scores(&self) -> Vec<(String, Value)> {
        let per_row = |sum: f64| if self.rows > 0.0 { Value::Number(sum / self.rows) } else { Value::Null };
        vec![
            ("accuracy".to_owned(), per_row(self.correct)),
            ("log_loss".to_owned(), per_row(self.log_loss)),
            ("auc".to_owned(), self.auc().map_or(Value::Null, Value::Number)),
        ]
    }

    /// The area under the ROC curve: how probable it is that a row with label 1 scores higher than one with label 0, where
    /// those in one bin count as equal, that is half.
    fn auc(&self) -> Option<f64> {
        let (mut below, mut higher) = (0.0, 0.0);
        for (positives, negatives) in self.positives.iter().zip(&self.negatives) {
            higher += positives * (below + negatives / 2.0);
            below += negatives;
        }
        let pairs = below * self.positives.iter().sum::<f64>();
        (pairs > 0.0).then(|| higher / pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auc(positives: &[f64], negatives: &[f64]) -> Option<f64> {
        let (positives, negatives) = (positives.to_vec(), negatives.to_vec());
        Evaluation { rows: 1.0, correct: 0.0, log_loss: 0.0, positives, negatives }.auc()
    }

    #[test]
    fn the_area_is_one_for_the_perfect_and_a_half_for_the_clueless() {
        assert_eq!(auc(&[0.0, 3.0], &[2.0, 0.0]), Some(1.0));
        assert_eq!(auc(&[3.0, 0.0], &[0.0, 2.0]), Some(0.0));
        assert_eq!(auc(&[5.0, 5.0], &[1.0, 1.0]), Some(0.5));
        assert_eq!(auc(&[1.0, 3.0], &[3.0, 1.0]), Some(0.75));
        assert_eq!(auc(&[0.0, 3.0], &[0.0, 0.0]), None);
    }
}
