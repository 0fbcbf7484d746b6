//! Bodies of JSON-RPC requests.

use crate::Target;

/// Bodies of JSON-RPC requests.
pub const TARGET: Target = Target { name: "rpc", run, seeds };

fn run(bytes: &[u8]) -> bool {
    stoa_rpc::fuzzing::decode(bytes) > 0
}

/// First parameters of every form, with all their fields.
const PARAMETERS: [&str; 14] = [
    r#""0x00000000000000000000000000000000000000aa""#,
    r#""0x1000000000000000000""#,
    r#""0x6001600055""#,
    r#""0x00000000000000000000000000000000000000000000000000000000000000aa""#,
    r#""0x5""#,
    r#""pending""#,
    r#"{"blockHash":"0x00000000000000000000000000000000000000000000000000000000000000aa","requireCanonical":true}"#,
    r#"{"blockNumber":"0x5"}"#,
    r#"{"number":"0x5","difficulty":"0x0","time":"0x6","gasLimit":"0x1000","feeRecipient":"0x00000000000000000000000000000000000000aa","prevRandao":"0x00000000000000000000000000000000000000000000000000000000000000aa","baseFeePerGas":"0x7","blockHash":{"0x1":"0x00000000000000000000000000000000000000000000000000000000000000aa"}}"#,
    r#"{"0x00000000000000000000000000000000000000aa":{"balance":"0x1","nonce":"0x2","code":"0x60","stateDiff":{"0x1":"0x2"}},"0x00000000000000000000000000000000000000ab":{"state":{"0x1":"0x2"},"movePrecompileToAddress":"0x00000000000000000000000000000000000000ac"}}"#,
    r#"{"address":["0x00000000000000000000000000000000000000aa"],"topics":[null,"0x00000000000000000000000000000000000000000000000000000000000000aa",["0x00000000000000000000000000000000000000000000000000000000000000ab",null]],"fromBlock":"0x1","toBlock":"latest"}"#,
    r#"{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"chainId","type":"uint256"}],"Person":[{"name":"wallet","type":"address"}],"Mail":[{"name":"to","type":"Person[2][]"},{"name":"words","type":"bytes"},{"name":"flag","type":"bool"},{"name":"sum","type":"int128"}]},"primaryType":"Mail","domain":{"name":"post","chainId":31337},"message":{"to":[[{"wallet":"0x00000000000000000000000000000000000000aa"},{"wallet":"0x00000000000000000000000000000000000000ab"}]],"words":"0x1234","flag":true,"sum":"-5"}}"#,
    r#"{"tracer":"callTracer","tracerConfig":{"withLog":true},"timeout":"5s","disableStack":true,"enableMemory":true}"#,
    r#"{"from":"0x00000000000000000000000000000000000000aa","to":"0x00000000000000000000000000000000000000ab","gas":"0x5208","maxFeePerGas":"0x3","maxPriorityFeePerGas":"0x2","value":"0x1","nonce":"0x0","input":"0x12","accessList":[{"address":"0x00000000000000000000000000000000000000ac","storageKeys":["0x00000000000000000000000000000000000000000000000000000000000000aa"]}],"chainId":"0x7a69","authorizationList":[{"chainId":"0x7a69","address":"0x00000000000000000000000000000000000000ad","nonce":"0x1","yParity":"0x1","r":"0x1","s":"0x2"}]}"#,
];

fn seeds() -> Vec<Vec<u8>> {
    let request =
        |parameter: &&str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{parameter},"latest"]}}"#);
    let single = PARAMETERS.iter().map(request);
    let batch = format!("[{}]", PARAMETERS.iter().map(request).collect::<Vec<_>>().join(","));
    single.chain([batch]).map(String::into_bytes).collect()
}
