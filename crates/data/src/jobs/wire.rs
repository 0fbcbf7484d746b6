//! What a buyer asks of a node that does a job for him. The node hears nobody but the key that the job names, and those who check
//! it.
//!
//! ```text
//! 0  code    job 32, module                     → nothing            the program; it has the hash that the job names
//! 1  round   job 32, number u32, parameters     → nothing            runs it once: rounds follow each other from 0
//! 2  look    job 32, number u32                 → state of a round   waits some seconds for it to end
//! 3  end     job 32                             → receipt, signature
//! 4  show    job 32, number u32                 → what a job was run with, for whoever was drawn to check it
//! 8  ready   asset 32, rules 32, program 32,    → nothing            before anything is paid: whether such a job could be done
//!            runtime u8, rounds u32,
//!            signature 65                                            by the account that would begin it, over the key that asks
//! ```

use super::{
    abi::{IJobs::Receipt, JOBS},
    rules::is_within,
};
use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolValue as _;
use bytes::BufMut;
use commonware_codec::{
    Buf, Copying, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, Read, ReadExt as _, Write,
};
use std::collections::BTreeMap;
use stoa_base::NodeId;
use stoa_client::lines;

/// The protocol of jobs.
pub const JOB: &[u8] = b"stoa/job/1";

/// Longest program, in bytes.
pub const MOST_CODE: usize = 16 << 20;

/// Longest parameters of a round, in bytes.
pub const MOST_PARAMS: usize = 4 << 20;

/// Longest request.
pub(super) const MOST_REQUEST: usize = MOST_CODE + 64;

/// Longest answer: what may leave of one round.
pub const MOST_ANSWER: usize = 64 << 20;

/// Longest path of a file, and longest reason, in bytes.
const MOST_PATH: usize = 4096;
pub(super) const MOST_WHY: usize = 4096;

/// How a node says that a program is not published, so far as it knows: a block that is on its way may say otherwise.
pub(super) const UNPUBLISHED: &str = "nor has anybody published it whom the owner trusts";

/// How a node says that an asset is offered by another node or with other rules, so far as it knows: as above.
pub(super) const UNOFFERED: &str = "the asset is offered otherwise than this is asked, so far as the node knows";

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Here is the program.
    Code(B256, Vec<u8>),
    /// Run it with these parameters.
    Round(B256, u32, Vec<u8>),
    /// How far is it.
    Look(B256, u32),
    /// That was all.
    End(B256),
    /// What was it run with: 0 for how often, in 4 bytes, and the program; N for the parameters of round N - 1.
    Show(B256, u32),
    /// What left in a round? Asked by nodes that check a process.
    Left(B256, u32),
    /// How does the newest round stand, at once and without what left.
    Status(B256),
    /// What left in the newest round, sealed to the job's key (see `results`): kept for some days after the job is over.
    Result(B256),
    /// Could it do a job that runs this program so often, on an asset that is offered with these rules? Asked before anything is paid,
    /// by anybody.
    Ready {
        /// The asset.
        asset: B256,
        /// The hash of the rules in its offer.
        rules: B256,
        /// The program.
        algorithm: B256,
        /// What is to run it.
        runtime: u8,
        /// How often, in one job.
        rounds: u32,
        /// By the account whose job it would be, for the key that asks: to it so much has to be able to leave still.
        signature: [u8; 65],
    },
}

/// How a round stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// It goes on, for so many seconds. How far it is could tell something of the data.
    Running(u64),
    /// What has left.
    Left {
        /// Files by their paths.
        files: BTreeMap<String, Vec<u8>>,
        /// What the program printed, if the owner lets that leave.
        log: Option<String>,
    },
    /// Nothing leaves, and the job is over: how it ended, as receipts say, and why so far as the owner lets that be known.
    Over(u8, String),
    /// It has ended, and the owner looks at what would leave.
    Held,
    /// None runs.
    Idle,
}

fn read_bytes(buf: &mut impl Buf, most: usize) -> Result<Vec<u8>, CodecError> {
    let length = u32::read(buf)? as usize;
    if length > most || length > buf.remaining() {
        return Err(CodecError::InvalidLength(length));
    }
    let mut bytes = vec![0; length];
    buf.copy_to_slice(&mut bytes);
    Ok(bytes)
}

fn write_bytes(bytes: &[u8], buf: &mut impl BufMut) {
    (bytes.len() as u32).write(buf);
    buf.put_slice(bytes);
}

fn read_hash(buf: &mut impl Buf) -> Result<B256, CodecError> {
    <[u8; 32]>::read(buf).map(B256::from)
}

fn read_text(buf: &mut impl Buf, most: usize) -> Result<String, CodecError> {
    String::from_utf8(read_bytes(buf, most)?).map_err(|error| CodecError::Wrapped("text", error.into()))
}

/// Reads where a file is to be written below a folder of the reader's: it leads nowhere else.
fn read_path(buf: &mut impl Buf) -> Result<String, CodecError> {
    let path = read_text(buf, MOST_PATH)?;
    if is_within(&path) { Ok(path) } else { Err(CodecError::Invalid("path", "it leads out of its folder")) }
}

impl Request {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode().to_vec()
    }

    /// Reads one that anybody may have sent.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::decode(Copying(bytes))
    }
}

impl Write for Request {
    fn write(&self, buf: &mut impl BufMut) {
        let mut head = |tag: u8, job: &B256| {
            tag.write(buf);
            job.0.write(buf);
        };
        match self {
            Self::Code(job, code) => {
                head(0, job);
                write_bytes(code, buf);
            }
            Self::Round(job, number, params) => {
                head(1, job);
                number.write(buf);
                write_bytes(params, buf);
            }
            Self::Look(job, number) => {
                head(2, job);
                number.write(buf);
            }
            Self::End(job) => head(3, job),
            Self::Show(job, number) => {
                head(4, job);
                number.write(buf);
            }
            Self::Left(job, number) => {
                head(5, job);
                number.write(buf);
            }
            Self::Status(job) => head(6, job),
            Self::Result(job) => head(7, job),
            Self::Ready { asset, rules, algorithm, runtime, rounds, signature } => {
                head(8, asset);
                rules.0.write(buf);
                algorithm.0.write(buf);
                runtime.write(buf);
                rounds.write(buf);
                signature.write(buf);
            }
        }
    }
}

impl EncodeSize for Request {
    fn encode_size(&self) -> usize {
        33 + match self {
            Self::Code(_, bytes) => 4 + bytes.len(),
            Self::Round(_, _, bytes) => 8 + bytes.len(),
            Self::Look(..) | Self::Show(..) | Self::Left(..) => 4,
            Self::End(_) | Self::Status(_) | Self::Result(_) => 0,
            Self::Ready { .. } => 32 + 32 + 1 + 4 + 65,
        }
    }
}

impl Read for Request {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (tag, job) = (u8::read(buf)?, read_hash(buf)?);
        Ok(match tag {
            0 => Self::Code(job, read_bytes(buf, MOST_CODE)?),
            1 => Self::Round(job, u32::read(buf)?, read_bytes(buf, MOST_PARAMS)?),
            2 => Self::Look(job, u32::read(buf)?),
            3 => Self::End(job),
            4 => Self::Show(job, u32::read(buf)?),
            5 => Self::Left(job, u32::read(buf)?),
            6 => Self::Status(job),
            7 => Self::Result(job),
            8 => Self::Ready {
                asset: job,
                rules: read_hash(buf)?,
                algorithm: read_hash(buf)?,
                runtime: u8::read(buf)?,
                rounds: u32::read(buf)?,
                signature: <[u8; 65]>::read(buf)?,
            },
            tag => return Err(CodecError::InvalidEnum(tag)),
        })
    }
}

impl Write for Round {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Running(seconds) => {
                0u8.write(buf);
                seconds.write(buf);
            }
            Self::Left { files, log } => {
                1u8.write(buf);
                (files.len() as u8).write(buf);
                for (path, bytes) in files {
                    write_bytes(path.as_bytes(), buf);
                    write_bytes(bytes, buf);
                }
                log.is_some().write(buf);
                if let Some(log) = log {
                    write_bytes(log.as_bytes(), buf);
                }
            }
            Self::Over(ended, why) => {
                2u8.write(buf);
                ended.write(buf);
                write_bytes(why.as_bytes(), buf);
            }
            Self::Held => 3u8.write(buf),
            Self::Idle => 4u8.write(buf),
        }
    }
}

impl EncodeSize for Round {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Running(_) => 8,
            Self::Left { files, log } => {
                let files: usize = files.iter().map(|(path, bytes)| 8 + path.len() + bytes.len()).sum();
                2 + files + log.as_ref().map_or(0, |log| 4 + log.len())
            }
            Self::Over(_, why) => 5 + why.len(),
            Self::Held | Self::Idle => 0,
        }
    }
}

impl Read for Round {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            0 => Self::Running(u64::read(buf)?),
            1 => {
                let mut files = BTreeMap::new();
                for _ in 0..u8::read(buf)? {
                    files.insert(read_path(buf)?, read_bytes(buf, MOST_ANSWER)?);
                }
                let log = if bool::read(buf)? { Some(lines(&read_text(buf, MOST_ANSWER)?)) } else { None };
                Self::Left { files, log }
            }
            2 => Self::Over(u8::read(buf)?, lines(&read_text(buf, MOST_WHY)?)),
            3 => Self::Held,
            4 => Self::Idle,
            tag => return Err(CodecError::InvalidEnum(tag)),
        })
    }
}

/// What an account signs (EIP-191) that asks by this key before a job on the ledger names it.
fn asking(chain_id: u64, key: NodeId) -> B256 {
    keccak256(("Stoa job asked for", U256::from(chain_id), JOBS, B256::from(key)).abi_encode_params())
}

/// Signs that it is this wallet's account which asks by a key.
///
/// # Errors
///
/// If the wallet does not sign.
pub(super) fn sign_asking(wallet: &PrivateKeySigner, chain_id: u64, key: NodeId) -> alloy_signer::Result<[u8; 65]> {
    Ok(wallet.sign_message_sync(asking(chain_id, key).as_slice())?.as_bytes())
}

/// The account that signed that it asks by this key. What another one signed, or for another key, is some account's of which nothing is
/// known.
pub(super) fn who_asks(chain_id: u64, key: NodeId, signature: &[u8; 65]) -> Option<Address> {
    Signature::from_raw(signature).ok()?.recover_address_from_msg(asking(chain_id, key)).ok()
}

/// A receipt with its node's signature: the ABI's encoding of both.
pub fn signed_to_bytes(receipt: &Receipt, signature: &[u8; 64]) -> Vec<u8> {
    [&signature[..], &receipt.abi_encode()].concat()
}

/// Reads it.
pub fn signed_from_bytes(bytes: &[u8]) -> Option<(Receipt, [u8; 64])> {
    let (signature, receipt) = bytes.split_at_checked(64)?;
    Some((Receipt::abi_decode(receipt).ok()?, signature.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_said_is_read_again() {
        let job = B256::repeat_byte(1);
        let requests = [
            Request::Code(job, vec![1, 2]),
            Request::Round(job, 7, b"{}".to_vec()),
            Request::Look(job, 7),
            Request::End(job),
            Request::Show(job, 7),
            Request::Left(job, 7),
            Request::Status(job),
            Request::Result(job),
            Request::Ready {
                asset: job,
                rules: job,
                algorithm: B256::repeat_byte(2),
                runtime: 1,
                rounds: 7,
                signature: [3; 65],
            },
        ];
        for request in requests {
            assert_eq!(Request::from_bytes(&request.to_bytes()).unwrap(), request);
        }
        let files: BTreeMap<_, _> = [("result.json".to_owned(), b"{}".to_vec())].into();
        for round in [
            Round::Running(3),
            Round::Left { files: files.clone(), log: Some("a".into()) },
            Round::Left { files, log: None },
            Round::Over(4, "b".into()),
            Round::Held,
            Round::Idle,
        ] {
            assert_eq!(Round::decode(Copying(&round.encode()[..])).unwrap(), round);
        }
    }

    #[test]
    fn an_account_asks_by_one_key_on_one_chain() {
        let wallet = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let [key, other] = [1, 2].map(|byte| NodeId([byte; 32]));
        let signature = sign_asking(&wallet, 7, key).unwrap();
        assert_eq!(who_asks(7, key, &signature), Some(wallet.address()));
        assert_ne!(who_asks(7, other, &signature), Some(wallet.address()));
        assert_ne!(who_asks(8, key, &signature), Some(wallet.address()));
        assert_eq!(who_asks(7, key, &[0; 65]), None);
    }

    #[test]
    fn a_node_names_no_file_outside_of_the_folder_that_its_buyer_writes_to() {
        for path in ["../key", "/etc/cron.d/key", "a/../../key", "a//b", "./a", "a/", "", "a\0b"] {
            let files = [(path.to_owned(), b"x".to_vec())].into();
            let said = Round::Left { files, log: None }.encode();
            assert!(Round::decode(Copying(&said[..])).is_err(), "{path:?}");
        }
        let files = [("a/.b/..c".to_owned(), b"x".to_vec())].into();
        let inside = Round::Left { files, log: None };
        assert_eq!(Round::decode(Copying(&inside.encode()[..])).unwrap(), inside);
    }

    #[test]
    fn what_a_program_printed_does_not_steer_the_terminal_of_whoever_reads_it() {
        let printed = "rows\t12\n\u{1b}]0;x\u{7}\u{202e}\u{9b}2Jok\n";
        for (said, read) in [
            (Round::Over(1, printed.into()), Round::Over(1, "rows\t12\n ]0;x   2Jok\n".into())),
            (
                Round::Left { files: BTreeMap::new(), log: Some(printed.into()) },
                Round::Left { files: BTreeMap::new(), log: Some("rows\t12\n ]0;x   2Jok\n".into()) },
            ),
        ] {
            assert_eq!(Round::decode(Copying(&said.encode()[..])).unwrap(), read);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(request) = Request::from_bytes(&bytes) {
                prop_assert_eq!(request.to_bytes(), bytes);
            }
        }
    }
}
