//! Whole runs, from files to results.

use super::{Error, Value, run};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

const HOSPITALS: [&str; 4] = ["cleveland.csv", "hungary.csv", "switzerland.csv", "va.csv"];

/// A folder as the sandbox shows it, which is gone afterwards.
struct Data(PathBuf);

impl Data {
    fn new(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("federated-{}-{number}", std::process::id()));
        for (name, content) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&folder))
                .and_then(|()| fs::write(file, content))
                .expect("written");
        }
        Self(folder)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// A run beside these files.
fn beside(params: &str, files: &[(&str, &str)]) -> Result<Value, Error> {
    let data = Data::new(&[&[("params.json", params)], files].concat());
    run(&data.0)
}

fn combine(results: &[Value]) -> Result<Value, Error> {
    let files: Vec<_> =
        results.iter().enumerate().map(|(site, result)| (format!("{site}/result.json"), result.to_string())).collect();
    let files: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    beside(r#"{"step": "combine"}"#, &files)
}

/// A step at each site, and what the aggregator makes of it.
fn round(params: &str, sites: &[String]) -> Result<Value, Error> {
    combine(&sites.iter().map(|site| beside(params, &[("site.csv", site)])).collect::<Result<Vec<_>, _>>()?)
}

fn hospitals() -> Vec<String> {
    let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../data/heart");
    HOSPITALS.iter().map(|file| fs::read_to_string(folder.join(file)).expect("a hospital's file")).collect()
}

/// The hospitals' rows in one file.
fn together(sites: &[String]) -> String {
    let header = sites[0].lines().take(1);
    header
        .chain(sites.iter().flat_map(|site| site.lines().skip(1)))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn close(one: &Value, other: &Value, key: &str, width: usize) {
    let lists = (one.list(key, width).expect("numbers"), other.list(key, width).expect("numbers"));
    for (one, other) in lists.0.iter().zip(&lists.1) {
        assert!((one - other).abs() <= 1e-9 * (1.0 + one.abs()), "{key}: {one} and {other}");
    }
}

#[test]
fn four_hospitals_train_a_model_in_ten_rounds() {
    let sites = hospitals();
    let mut model = round(r#"{"step": "summarize"}"#, &sites).expect("a summary");
    assert_eq!(model.count("rows"), Ok(644.0));
    assert_eq!(model.count("sites"), Ok(4.0));
    let mut losses = Vec::new();
    for _ in 0..10 {
        model = round(&format!(r#"{{"step": "train", "model": {model}}}"#), &sites).expect("a model");
        losses.push(model.number("log_loss").expect("a loss"));
    }
    assert!(losses[0] > losses[9] && losses[9] < 0.45, "{losses:?}");
    let scores = round(&format!(r#"{{"step": "evaluate", "model": {model}}}"#), &sites).expect("scores");
    assert_eq!(scores.count("rows"), Ok(274.0));
    assert!(scores.number("accuracy").is_ok_and(|accuracy| accuracy > 0.83), "{scores}");
    assert!(scores.number("auc").is_ok_and(|area| area > 0.9), "{scores}");
}

#[test]
fn one_epoch_at_each_site_is_one_epoch_over_all_rows() {
    let sites = hospitals();
    let all = [together(&sites)];
    let apart = round(r#"{"step": "summarize"}"#, &sites).expect("a summary");
    let central = round(r#"{"step": "summarize"}"#, &all).expect("a summary");
    // Not where a hospital keeps quiet about a column that hardly anybody has.
    let apart_model = format!(r#"{{"step": "train", "epochs": 1, "model": {central}}}"#);
    assert_eq!(apart.get("features"), central.get("features"));
    let (one, other) = (round(&apart_model, &sites).expect("a model"), round(&apart_model, &all).expect("a model"));
    close(&one, &other, "weights", 23);
    assert!((one.number("intercept").expect("a number") - other.number("intercept").expect("a number")).abs() < 1e-9);
    let evaluate = format!(r#"{{"step": "evaluate", "model": {one}}}"#);
    let (one, other) = (round(&evaluate, &sites).expect("scores"), round(&evaluate, &all).expect("scores"));
    for key in ["rows", "correct", "positives", "negatives", "auc", "accuracy"] {
        assert_eq!(one.get(key), other.get(key), "{key}");
    }
}

#[test]
fn results_of_results_can_be_combined() {
    let sites = hospitals();
    let summaries: Vec<_> = sites
        .iter()
        .map(|site| beside(r#"{"step": "summarize"}"#, &[("site.csv", site)]).expect("a summary"))
        .collect();
    let halves = [&summaries[..1], &summaries[1..]].map(|half| combine(half).expect("a summary"));
    let (one, other) = (combine(&halves).expect("a summary"), combine(&summaries).expect("a summary"));
    for key in ["count", "sum", "sum_of_squares", "mean", "deviation"] {
        close(&one, &other, key, 23);
    }
}

#[test]
fn a_column_that_few_have_is_not_summed_up() {
    let text = format!("a,b,disease,held_out\n{}{}", "1,2,1,0\n".repeat(9), "1,,0,0\n".repeat(9));
    let result = beside(r#"{"step": "summarize", "features": ["a", "b", "b?"]}"#, &[("x/y.csv", &text)]);
    let result = result.expect("a summary");
    assert_eq!(result.list("count", 3), Ok(vec![18.0, 0.0, 18.0]));
    assert_eq!(result.list("sum", 3), Ok(vec![18.0, 0.0, 9.0]));
    let model = combine(&[result]).expect("a summary");
    assert_eq!(model.list("mean", 3), Ok(vec![1.0, 0.0, 0.5]));
    assert_eq!(model.list("deviation", 3), Ok(vec![1.0, 1.0, 0.5]));
}

#[test]
fn what_cannot_be_done_is_said() {
    let table = format!("a,disease,held_out\n{}", "1e200,1,0\n".repeat(20));
    let model = r#"{"features": ["a"], "mean": [0], "deviation": [1], "intercept": 0, "weights": [0]}"#;
    let cases = [
        ("{", "no JSON"),
        ("[]", "no object"),
        ("{}", "`step` is to be"),
        (r#"{"step": "guess"}"#, "`step` is to be"),
        (r#"{"step": "combine", "epochs": 1}"#, "unknown parameter"),
        (r#"{"step": "train"}"#, "`model` is missing"),
        (r#"{"step": "train", "model": 1}"#, "expected an object with `features`"),
        (r#"{"step": "train", "model": {"features": []}}"#, "1 to 1000 strings"),
        (r#"{"step": "train", "model": {"features": ["a"], "deviation": [0]}}"#, "above zero"),
        (r#"{"step": "train", "model": {"features": ["a"], "deviation": [1, 2]}}"#, "2 values, expected 1"),
        (&format!(r#"{{"step": "train", "model": {model}, "epochs": 0}}"#), "from 1 to 1000000"),
        (&format!(r#"{{"step": "train", "model": {model}, "epochs": "1"}}"#), "from 1 to 1000000"),
        (&format!(r#"{{"step": "train", "model": {model}, "label": 1}}"#), "no string"),
        (&format!(r#"{{"step": "train", "model": {model}, "learning_rate": 1000, "epochs": 99}}"#), "without bounds"),
        (r#"{"step": "summarize", "features": ["a"]}"#, "without bounds"),
        (r#"{"step": "summarize"}"#, "no column \"age\""),
        (&format!(r#"{{"step": "evaluate", "model": {model}}}"#), "fewer than 10 held-out rows"),
    ];
    for (params, said) in cases {
        let error = beside(params, &[("table.csv", &table)]).expect_err(params).to_string();
        assert!(error.contains(said), "{params}: {error}");
    }
    assert!(beside(r#"{"step": "summarize"}"#, &[]).is_err_and(|error| error.to_string().contains("found 0")));
    let two = [("a.csv", "a\n"), ("b/b.csv", "b\n")];
    assert!(beside(r#"{"step": "summarize"}"#, &two).is_err_and(|error| error.to_string().contains("found 2")));
}

#[test]
fn results_that_do_not_fit_together_are_refused() {
    let model = |feature: &str, mean: &str, rows: &str| {
        let text = format!(
            r#"{{"step": "train", "rows": {rows}, "log_loss": 1, "features": ["{feature}"], "mean": [{mean}],
            "deviation": [1], "intercept": 0, "weights": [1]}}"#
        );
        Value::parse(&text).expect("a model")
    };
    let evaluation = |bins: &str| {
        let text = format!(
            r#"{{"step": "evaluate", "rows": 1, "correct": 1, "log_loss_sum": 0, "positives": {bins}, "negatives": {bins}}}"#
        );
        Value::parse(&text).expect("an evaluation")
    };
    let cases = [
        (vec![], "found 0"),
        (vec![Value::Null], "one and the same step"),
        (vec![Value::object([("step", Value::Null)])], "no string"),
        (vec![Value::parse(r#"{"step": "combine"}"#).expect("an object")], "of no other step"),
        (vec![model("a", "0", "9"), evaluation("[1]")], "one and the same step"),
        (vec![model("a", "0", "9"), model("b", "0", "9")], "other features"),
        (vec![model("a", "0", "9"), model("a", "1", "9")], "other features, means or deviations"),
        (vec![model("a", "0", "-1")], "to count something"),
        (vec![model("a", "0", "0"), model("a", "0", "0")], "have rows"),
        (vec![evaluation("[1]"), evaluation("[1, 2]")], "other bins"),
        (vec![evaluation("[0.5]")], "to count something"),
    ];
    for (results, said) in cases {
        let error = combine(&results).expect_err(said).to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    let long = format!("[{}0]", "0,".repeat(600 << 10));
    let refused = |done: Result<Value, Error>, said: &str| done.is_err_and(|error| error.to_string().contains(said));
    assert!(refused(beside(&long, &[]), "has more than 1048576 bytes"));
    let short = &long[long.len() - (1 << 20)..];
    let names = ('a'..'m').map(|name| format!("{name}.json")).collect::<Vec<_>>();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).chain([("z.json", short)]).collect();
    assert!(refused(beside(r#"{"step": "combine"}"#, &files), "/z.json: no JSON"));
    let blank = " ".repeat((1 << 20) - 1) + "1";
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), blank.as_str())).collect();
    assert!(refused(beside(r#"{"step": "combine"}"#, &files), "i.json has more than 0 bytes"));

    // A short line of the table can become a thousand numbers.
    let features = (0..1000).map(|code| format!("\"a={code}\"")).collect::<Vec<_>>().join(", ");
    let table = format!("a,disease,held_out\n{}", "1,1,0\n".repeat(9000));
    let params = format!(r#"{{"step": "summarize", "features": [{features}]}}"#);
    assert!(refused(beside(&params, &[("table.csv", &table)]), "more than 8388608 numbers"));
}

#[test]
fn broken_input_gives_errors_and_never_a_panic() {
    let table = "a,b,disease,held_out\n".to_owned() + &"\"1\",2,1,0\n-3,,0,0\n1e3,0.5,1,1\n".repeat(11);
    let result =
        beside(r#"{"step": "summarize", "features": ["a", "b=2", "b?"]}"#, &[("t.csv", &table)]).expect("a summary");
    let model = combine(&[result]).expect("a model").to_string();
    let train = format!(r#"{{"step": "train", "epochs": 1, "model": {model}}}"#);
    // Xorshift: what is broken is the same each time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut refused = 0;
    for turn in 0..900 {
        let mut texts = [table.clone().into_bytes(), train.clone().into_bytes(), model.clone().into_bytes()];
        let broken = &mut texts[turn % 3];
        for _ in 0..=draw(3) {
            let at = draw(broken.len());
            match draw(4) {
                0 => broken.truncate(at.max(1)),
                1 => broken[at] = b"\",\n\r{}[]:-e.\\09"[draw(15)],
                2 => drop(broken.remove(at)),
                _ => broken.insert(at, b"\",\n\r{}[]:-e.\\09"[draw(15)]),
            }
            broken.push(b' ');
        }
        let [table, train, model] = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
        let done = if turn % 3 == 2 {
            beside(r#"{"step": "combine"}"#, &[("model.json", &model)])
        } else {
            beside(&train, &[("t.csv", &table)])
        };
        refused += usize::from(done.is_err());
    }
    assert!((300..900).contains(&refused), "{refused}");
}
