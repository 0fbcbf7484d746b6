//! What the aggregator does: results of sites become one.

use crate::{error::Error, evaluate::Evaluation, json::Value, model::Trained, summary::Summary};

/// Sums of sums, the average of models; of one kind all of them, named by where they come from.
pub fn combine(results: &[(String, Value)]) -> Result<Value, Error> {
    let step = results.first().and_then(|(_, first)| first.find("step")).cloned().unwrap_or(Value::Null);
    if let Some((name, _)) = results.iter().find(|(_, result)| result.find("step") != Some(&step)) {
        return Err(Error::new("expected results of one and the same step").within(name));
    }
    let Value::String(step) = step else { return Err(Error::new("a result's `step` is no string")) };
    let (result, more) = match step.as_str() {
        "summarize" => {
            let summary = fold(results, Summary::read, Summary::add)?;
            (summary.write(), summary.model().write())
        }
        "train" => (fold(results, Trained::read, Trained::add)?.write(), Vec::new()),
        "evaluate" => {
            let evaluation = fold(results, Evaluation::read, Evaluation::add)?;
            (evaluation.write(), evaluation.scores())
        }
        _ => return Err(Error::new("results of summarize, train or evaluate can be combined, of no other step")),
    };
    let Value::Object(mut entries) = result else { return Err(Error::new("a result is no object")) };
    entries.insert(1, ("sites".to_owned(), Value::Number(results.len() as f64)));
    // A summary is a model's beginning; both name the features.
    entries.extend(more.into_iter().filter(|(key, _)| key != "features"));
    Ok(Value::Object(entries))
}

fn fold<T>(
    results: &[(String, Value)],
    read: impl Fn(&Value) -> Result<T, Error>,
    add: impl Fn(&mut T, &T) -> Result<(), Error>,
) -> Result<T, Error> {
    let mut sum = None;
    for (name, result) in results {
        let one = read(result).map_err(|error| error.within(name))?;
        match &mut sum {
            None => sum = Some(one),
            Some(sum) => add(sum, &one).map_err(|error| error.within(name))?,
        }
    }
    sum.ok_or_else(|| Error::new("there are no results"))
}
