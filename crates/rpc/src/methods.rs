//! The table of methods.
//!
//! A method is a name and a function; how the function is run is chosen when it is added. [`Methods::instant`] runs on
//! the connection's own task and must not block, but for parameters that take long to read. [`Methods::read`] and [`Methods::execute`] run on threads that may
//! block, as many at a time as the [`Config`](crate::Config) allows. [`Methods::add`] takes an async function. A name
//! that is added again replaces the earlier one, so that a development node can change what a method does.

use crate::{Context, Params, RpcError};
use futures::future::{BoxFuture, FutureExt};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

type Blocking = Arc<dyn Fn(&Context, &Params) -> Result<Vec<u8>, RpcError> + Send + Sync>;
type Asynchronous = Arc<dyn Fn(Context, Params) -> BoxFuture<'static, Result<Vec<u8>, RpcError>> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Method {
    Instant(Blocking),
    Read(Blocking),
    Execute(Blocking),
    Asynchronous(Asynchronous),
}

/// Methods by name.
#[derive(Clone, Default)]
pub struct Methods {
    by_name: BTreeMap<String, Method>,
    patient: BTreeSet<String>,
}

impl Methods {
    /// A method that answers from memory and never blocks.
    pub fn instant<T: Serialize>(
        &mut self,
        name: &str,
        handler: impl Fn(&Context, &Params) -> Result<T, RpcError> + Send + Sync + 'static,
    ) -> &mut Self {
        self.insert(name, Method::Instant(blocking(handler)))
    }

    /// A method that reads from disk or checks signatures.
    pub fn read<T: Serialize>(
        &mut self,
        name: &str,
        handler: impl Fn(&Context, &Params) -> Result<T, RpcError> + Send + Sync + 'static,
    ) -> &mut Self {
        self.insert(name, Method::Read(blocking(handler)))
    }

    /// A method that runs contracts.
    pub fn execute<T: Serialize>(
        &mut self,
        name: &str,
        handler: impl Fn(&Context, &Params) -> Result<T, RpcError> + Send + Sync + 'static,
    ) -> &mut Self {
        self.insert(name, Method::Execute(blocking(handler)))
    }

    /// A method that waits for something.
    pub fn add<T, F>(&mut self, name: &str, handler: impl Fn(Context, Params) -> F + Send + Sync + 'static) -> &mut Self
    where
        T: Serialize,
        F: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        let method: Asynchronous = Arc::new(move |context: Context, params| {
            let limit = context.config().max_response_bytes;
            let answer = handler(context, params);
            async move { encode(&answer.await?, limit) }.boxed()
        });
        self.insert(name, Method::Asynchronous(method))
    }

    /// Lets a method take as long as it takes: it has no timeout.
    pub(crate) fn patient(&mut self, name: &str) -> &mut Self {
        self.patient.insert(name.to_owned());
        self
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Method> {
        self.by_name.get(name)
    }

    /// Whether a method of this name is waited for, however long it takes.
    pub(crate) fn is_patient(&self, name: &str) -> bool {
        self.patient.contains(name)
    }

    fn insert(&mut self, name: &str, method: Method) -> &mut Self {
        self.by_name.insert(name.to_owned(), method);
        self
    }
}

fn blocking<T: Serialize>(
    handler: impl Fn(&Context, &Params) -> Result<T, RpcError> + Send + Sync + 'static,
) -> Blocking {
    Arc::new(move |context, params| encode(&handler(context, params)?, context.config().max_response_bytes))
}

/// Writes a result as JSON, at most `limit` bytes of it.
fn encode<T: Serialize>(result: &T, limit: usize) -> Result<Vec<u8>, RpcError> {
    struct Bounded {
        out: Vec<u8>,
        limit: usize,
    }
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.out.len() + bytes.len() > self.limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.out.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Bounded { out: Vec::with_capacity(128), limit };
    match serde_json::to_writer(&mut writer, result) {
        Ok(()) => Ok(writer.out),
        Err(error) if error.is_io() => Err(RpcError::response_too_large(limit)),
        Err(error) => {
            tracing::error!(%error, "a result cannot be written as JSON");
            Err(RpcError::new(-32603, "internal error: the result cannot be written as JSON"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_beyond_the_limit_is_refused() {
        assert_eq!(encode(&"abc", 5).unwrap(), br#""abc""#);
        let error = encode(&"abcd", 5).unwrap_err();
        assert_eq!((error.code, &*error.message), (-32003, "response too large, at most 5 bytes"));
    }
}
