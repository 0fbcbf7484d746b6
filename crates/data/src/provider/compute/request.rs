//! What a client asks to have computed, read with bounds: JSON of `initializeCompute`, `compute` and `freeCompute`.

use super::{super::Refusal, Container};
use alloy_primitives::{Address, B256};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json, value::RawValue};

/// Bytes of code that comes with the request at most.
const MOST_RAW: usize = 256 << 10;

/// Bytes of a request at most: code in JSON may take two for one.
pub const MOST_REQUEST: usize = 2 * MOST_RAW + (256 << 10);

/// Bytes of any other part at most.
const MOST_PART: usize = 64 << 10;

/// Data sets of a job at most.
const MOST_DATASETS: usize = 8;

/// Bytes of what a client wants to have kept with a job at most, as Ocean's nodes have it.
const MOST_METADATA: usize = 1024;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who asks, as it came.
    pub consumer: String,
    /// The number of his request, and his signature; empty if there is none.
    pub signed: [String; 2],
    /// Where it is to run.
    pub environment: String,
    /// On what.
    pub datasets: Vec<Ordered>,
    /// What is to run.
    pub code: Code,
    /// What the program is told: JSON.
    pub custom: Vec<u8>,
    /// How much of the machine it wants.
    pub resources: Value,
    /// For how many seconds at most; 0 if nothing is said.
    pub duration: u64,
    /// The chain and the token that would be paid with.
    pub payment: (Option<u64>, Option<Address>),
    /// What is kept with the job for whoever started it.
    pub metadata: Value,
}

/// A service of an asset, and the order of it that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The asset.
    pub did: String,
    /// The service's id.
    pub service: String,
    /// An order, or the transaction that placed it, if one is shown.
    pub shown: Option<B256>,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// That of an asset. What its container is said to be has to be what its document says.
    Published(Ordered, Option<Container>),
    /// One that comes with the request.
    Raw(String, Container),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    consumer_address: Option<String>,
    nonce: Option<String>,
    signature: Option<String>,
    environment: Option<String>,
    max_job_duration: Option<f64>,
    #[serde(borrow)]
    datasets: Option<&'a RawValue>,
    #[serde(borrow)]
    algorithm: Option<Algorithm<'a>>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
    #[serde(borrow)]
    payment: Option<Payment<'a>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    additional_viewers: Option<Vec<IgnoredAny>>,
    output: Option<IgnoredAny>,
    output_bucket_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment<'a> {
    chain_id: Option<u64>,
    token: Option<Address>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dataset {
    document_id: Option<String>,
    service_id: Option<String>,
    transfer_tx_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Algorithm<'a> {
    document_id: Option<String>,
    service_id: Option<String>,
    transfer_tx_id: Option<String>,
    meta: Option<Meta>,
    #[serde(borrow)]
    algocustomdata: Option<&'a RawValue>,
    #[serde(borrow)]
    envs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta {
    rawcode: Option<String>,
    container: Option<Container>,
}

fn malformed(why: impl Into<String>) -> Refusal {
    Refusal::Malformed(why.into())
}

/// A part that is short, as it stands; `null` if it is not there.
fn part<'a>(raw: Option<&'a RawValue>, name: &str) -> Result<&'a str, Refusal> {
    let text = raw.map_or("null", RawValue::get);
    if text.len() > MOST_PART { Err(malformed(format!("{name}: want {MOST_PART} bytes at most"))) } else { Ok(text) }
}

fn value(raw: Option<&RawValue>, name: &str) -> Result<Value, Refusal> {
    serde_json::from_str(part(raw, name)?).map_err(|error| malformed(format!("{name}: {error}")))
}

impl Ordered {
    fn new(did: Option<String>, service: Option<String>, shown: Option<String>) -> Result<Self, Refusal> {
        let (Some(did), Some(service)) = (did, service) else {
            return Err(malformed(
                "want documentId and serviceId of each data set, and of the algorithm or its meta.rawcode",
            ));
        };
        let shown = shown.filter(|shown| !shown.is_empty()).map(|shown| shown.parse()).transpose();
        let shown = shown
            .map_err(|_| malformed("transferTxId: want the hash of the transaction that ordered, or the order's id"))?;
        Ok(Self { did, service, shown })
    }
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if it is none, too long, or asks for what there is not.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let form: Form<'_> = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
        if form.output.is_some() || form.output_bucket_id.is_some() {
            return Err(malformed(
                "output, outputBucketId: results stay at this node until they are fetched (computeResult)",
            ));
        }
        if form.additional_viewers.is_some_and(|viewers| !viewers.is_empty()) {
            return Err(malformed("additionalViewers: results are for whoever starts the job alone"));
        }
        let said = part(form.datasets, "datasets")?;
        let datasets: Option<Vec<Dataset>> =
            serde_json::from_str(said).map_err(|error| malformed(format!("datasets: {error}")))?;
        let datasets = datasets.unwrap_or_default();
        if datasets.is_empty() || datasets.len() > MOST_DATASETS {
            return Err(malformed(format!("datasets: want 1 to {MOST_DATASETS}, got {}", datasets.len())));
        }
        let ordered =
            |Dataset { document_id, service_id, transfer_tx_id }| Ordered::new(document_id, service_id, transfer_tx_id);
        let datasets: Vec<_> = datasets.into_iter().map(ordered).collect::<Result<_, _>>()?;
        let algorithm = form.algorithm.ok_or_else(|| malformed("algorithm: there is none"))?;
        let custom = part(algorithm.algocustomdata, "algocustomdata")?;
        let custom = if custom == "null" { "{}" } else { custom };
        let metadata = value(form.metadata, "metadata")?;
        if metadata.to_string().len() > MOST_METADATA {
            return Err(malformed(format!("metadata: want {MOST_METADATA} bytes at most")));
        }
        let paid = form.payment.unwrap_or(Payment { chain_id: None, token: None, resources: None });
        Ok(Self {
            consumer: form.consumer_address.unwrap_or_default(),
            signed: [form.nonce, form.signature].map(Option::unwrap_or_default),
            environment: form.environment.unwrap_or_default(),
            datasets,
            code: algorithm.code()?,
            custom: custom.as_bytes().to_vec(),
            resources: value(form.resources.or(paid.resources), "resources")?,
            // What is negative is 0, and what is beyond all bounds the most that there is.
            duration: form.max_job_duration.unwrap_or(0.0) as u64,
            payment: (paid.chain_id, paid.token),
            metadata,
        })
    }
}

impl Algorithm<'_> {
    fn code(self) -> Result<Code, Refusal> {
        // Variables such as PYTHONPATH would make another program of one that is trusted.
        let envs = value(self.envs, "envs")?;
        if !envs.is_null() && envs != json!({}) {
            return Err(malformed(
                "envs: programs are told things by algocustomdata, and have no variables of their caller's",
            ));
        }
        let (raw, container) = self.meta.map_or((None, None), |meta| (meta.rawcode, meta.container));
        match raw.filter(|code| !code.is_empty()) {
            Some(_) if self.document_id.is_some() => Err(malformed(
                "algorithm: want documentId or meta.rawcode, and not both: what was published is what runs",
            )),
            Some(code) if code.len() > MOST_RAW => {
                Err(malformed(format!("meta.rawcode: want {MOST_RAW} bytes at most")))
            }
            Some(code) => match container {
                Some(container) => Ok(Code::Raw(code, container)),
                None => Err(malformed("meta.container: want what the code runs in, with its entrypoint")),
            },
            None => {
                let ordered = Ordered::new(self.document_id, self.service_id, self.transfer_tx_id)?;
                Ok(Code::Published(ordered, container))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> Value {
        json!({
            "consumerAddress": "0x01", "nonce": "7", "signature": "0x02", "environment": "here", "maxJobDuration": 60,
            "dataset": { "documentId": "did:op:01", "serviceId": "a" },
            "datasets": [{ "documentId": "did:op:01", "serviceId": "a", "transferTxId": B256::repeat_byte(1), "userdata": {} }],
            "algorithm": { "documentId": "did:op:02", "serviceId": "b", "algocustomdata": { "deep": 3 } },
            "payment": { "chainId": 1, "token": Address::repeat_byte(2), "maxJobDuration": 60, "resources": [] },
        })
    }

    fn read(request: &Value) -> Result<Request, Refusal> {
        Request::read(request.to_string().as_bytes())
    }

    #[test]
    fn what_oceans_clients_send_is_read() {
        let is = read(&request()).unwrap();
        let shown = Some(B256::repeat_byte(1));
        assert_eq!(is.datasets, [Ordered { did: "did:op:01".into(), service: "a".into(), shown }]);
        let ordered = Ordered { did: "did:op:02".into(), service: "b".into(), shown: None };
        assert_eq!(is.code, Code::Published(ordered, None));
        assert_eq!((&is.custom[..], is.duration, &is.resources), (&br#"{"deep":3}"#[..], 60, &json!([])));
        assert_eq!((is.consumer, is.signed), ("0x01".into(), ["7".into(), "0x02".into()]));
        assert_eq!(is.payment, (Some(1), Some(Address::repeat_byte(2))));
        let mut raw = request();
        raw["algorithm"] =
            json!({ "meta": { "language": "py", "rawcode": "1\n", "container": { "entrypoint": "python $ALGO" } } });
        raw["maxJobDuration"] = json!(-1e300);
        let is = read(&raw).unwrap();
        let container = Container { entrypoint: "python $ALGO".into(), checksum: String::new() };
        assert_eq!((is.code, is.custom, is.duration), (Code::Raw("1\n".into(), container), b"{}".to_vec(), 0));
    }

    #[test]
    fn what_there_is_not_is_refused_by_name() {
        let raw = |code: &str| json!({ "meta": { "rawcode": code, "container": { "entrypoint": "python $ALGO" } } });
        let with_id = |mut algorithm: Value| {
            algorithm["documentId"] = json!("did:op:02");
            algorithm
        };
        for (name, value, why) in [
            ("datasets", json!(null), "datasets"),
            ("datasets", json!([]), "datasets"),
            ("datasets", json!({}), "datasets"),
            ("datasets", Value::Array(vec![json!({ "documentId": "d", "serviceId": "a" }); 9]), "got 9"),
            ("datasets", json!([{ "fileObject": { "type": "url" } }]), "documentId"),
            ("datasets", json!([{ "documentId": "d", "serviceId": "a", "transferTxId": "0x01" }]), "transferTxId"),
            ("datasets", json!(["x".repeat(MOST_PART)]), "bytes at most"),
            ("algorithm", json!(null), "algorithm"),
            ("algorithm", json!({}), "meta.rawcode"),
            ("algorithm", raw(""), "meta.rawcode"),
            ("algorithm", json!({ "meta": { "rawcode": "1" } }), "container"),
            // A program that is trusted is not the one that comes with the request.
            ("algorithm", with_id(raw("1")), "not both"),
            ("algorithm", raw(&"x".repeat(MOST_RAW + 1)), "bytes at most"),
            ("algorithm", json!({ "documentId": "d", "serviceId": "a", "envs": { "PYTHONPATH": "/data" } }), "envs"),
            ("output", json!("00"), "output"),
            ("outputBucketId", json!("b"), "output"),
            ("additionalViewers", json!(["0x01"]), "additionalViewers"),
            ("metadata", json!("x".repeat(MOST_METADATA)), "metadata"),
            ("maxJobDuration", json!("60"), "invalid type"),
        ] {
            let mut request = request();
            request[name] = value;
            let refused = read(&request);
            assert!(
                matches!(&refused, Err(Refusal::Malformed(said)) if said.contains(why)),
                "{name} {why}: {refused:?}"
            );
        }
        let mut unused = request();
        for (name, value) in
            [("output", json!(null)), ("additionalViewers", json!([])), ("metadata", json!({ "a": 1 }))]
        {
            unused[name] = value;
        }
        unused["algorithm"]["envs"] = json!({});
        read(&unused).unwrap();
    }

    proptest! {
        #[test]
        fn no_bytes_end_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::read(&bytes);
        }
    }
}
