//! What a run is asked to do, and the values where it is not told.

use crate::{
    error::Error,
    json::{Value, quoted},
    model::Model,
    table::{Feature, MIN_ROWS, MOST_FEATURES, Selection},
};

/// Columns of `data/heart`, for which the other defaults were chosen: `data/heart/reference.py`.
const FEATURES: [&str; 23] = [
    "age",
    "sex",
    "chest_pain=1",
    "chest_pain=2",
    "chest_pain=3",
    "chest_pain=4",
    "resting_bp",
    "cholesterol",
    "high_sugar",
    "resting_ecg=1",
    "resting_ecg=2",
    "max_heart_rate",
    "exercise_angina",
    "st_depression",
    "st_slope=2",
    "st_slope=3",
    "vessels",
    "thal=6",
    "thal=7",
    "cholesterol?",
    "st_slope?",
    "vessels?",
    "thal?",
];

/// The parameters of a run.
pub struct Params {
    /// The parameter `step`, and those that it has.
    pub step: Step,
}

/// What a run does.
pub enum Step {
    /// Counts and sums at a site, to standardise with.
    Summarize(Summarize),
    /// Some epochs of gradient descent at a site.
    Train(Train),
    /// How well a model predicts the rows that a site has held out.
    Evaluate(Evaluate),
    /// Brings results of sites together.
    Combine,
}

/// Parameters of `summarize`.
pub struct Summarize {
    pub selection: Selection,
    pub features: Vec<Feature>,
}

/// Parameters of `train`.
pub struct Train {
    pub selection: Selection,
    pub model: Model,
    pub learning_rate: f64,
    pub epochs: usize,
    /// Weight of half the weights' square in the loss.
    pub l2: f64,
}

/// Parameters of `evaluate`.
pub struct Evaluate {
    pub selection: Selection,
    pub model: Model,
    /// How many intervals of equal width predictions are counted in.
    pub bins: usize,
}

impl Params {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// For parameters that the step does not have and values out of bounds.
    pub fn parse(value: &Value) -> Result<Self, Error> {
        let Value::Object(entries) = value else { return Err(Error::new("the parameters are no object")) };
        let step = text(value, "step", "")?;
        let own: &[&str] = match step.as_str() {
            "summarize" => &["features"],
            "train" => &["model", "learning_rate", "epochs", "l2"],
            "evaluate" => &["model", "bins"],
            "combine" => &[],
            _ => return Err(Error::new("parameter `step` is to be summarize, train, evaluate or combine")),
        };
        let common: &[&str] = if step == "combine" { &["step"] } else { &["step", "label", "held_out", "min_rows"] };
        if let Some((key, _)) = entries.iter().find(|(key, _)| ![common, own].concat().contains(&key.as_str())) {
            let known = [common, own].concat().join(", ");
            return Err(Error::new(format!("unknown parameter {}; {step} has {known}", quoted(key))));
        }

        let selection = Selection {
            label: text(value, "label", "disease")?,
            held_out: text(value, "held_out", "held_out")?,
            min_rows: number(value, "min_rows", MIN_ROWS as f64, 0.0..=1e9)? as usize,
        };
        let step = match step.as_str() {
            "summarize" => Step::Summarize(Summarize {
                selection,
                features: match value.find("features") {
                    Some(_) => features(value)?,
                    None => FEATURES.iter().map(|text| Feature::parse(text)).collect::<Result<_, _>>()?,
                },
            }),
            "train" => Step::Train(Train {
                selection,
                model: model(value)?,
                learning_rate: number(value, "learning_rate", 0.5, 1e-9..=1e3)?,
                epochs: number(value, "epochs", 10.0, 1.0..=1e6)? as usize,
                l2: number(value, "l2", 0.03, 0.0..=1e3)?,
            }),
            "evaluate" => Step::Evaluate(Evaluate {
                selection,
                model: model(value)?,
                bins: number(value, "bins", 20.0, 2.0..=100.0)? as usize,
            }),
            _ => Step::Combine,
        };
        Ok(Self { step })
    }
}

/// The list `features` of an object.
pub fn features(value: &Value) -> Result<Vec<Feature>, Error> {
    let wrong = || Error::new(format!("`features` is to be an array of 1 to {MOST_FEATURES} strings"));
    let Value::Array(values) = value.get("features")? else { return Err(wrong()) };
    if values.is_empty() || values.len() > MOST_FEATURES {
        return Err(wrong());
    }
    let read = |value: &Value| match value {
        Value::String(text) => Feature::parse(text),
        _ => Err(wrong()),
    };
    values.iter().map(read).collect()
}

fn model(value: &Value) -> Result<Model, Error> {
    let found = value.find("model").ok_or_else(|| {
        Error::new("parameter `model` is missing: what `combine` made of summaries, or of trained models")
    })?;
    Model::read(found).map_err(|error| error.within("parameter `model`"))
}

fn text(value: &Value, key: &str, default: &str) -> Result<String, Error> {
    match value.find(key) {
        None => Ok(default.to_owned()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Error::new(format!("parameter `{key}` is no string"))),
    }
}

fn number(value: &Value, key: &str, default: f64, bounds: std::ops::RangeInclusive<f64>) -> Result<f64, Error> {
    match value.find(key) {
        None => Ok(default),
        Some(Value::Number(number)) if bounds.contains(number) => Ok(*number),
        Some(_) => {
            let (least, most) = (bounds.start(), bounds.end());
            Err(Error::new(format!("parameter `{key}` is to be a number from {least} to {most}")))
        }
    }
}
