//! `bytes` and `string`: up to 31 bytes within the slot itself, longer ones in slots of their own.

use super::{Layout, Place, Size};
use crate::{Context, Error, Result};
use alloy_primitives::{Bytes, U256};
use alloy_sol_types::PanicKind;

/// Bytes of any length: `bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    place: Place,
}

impl Layout for Blob {
    const SIZE: Size = Size::Slots(1);

    fn at(place: Place) -> Self {
        Self { place }
    }

    fn place(&self) -> Place {
        self.place
    }
}

impl Blob {
    /// The number of bytes.
    ///
    /// # Errors
    ///
    /// Out of gas; `Panic(0x22)` if something else was written here.
    pub fn len(&self, cx: &mut Context<'_>) -> Result<usize> {
        let head = self.place.sload(cx)?;
        len(head)
    }

    /// Whether there are none.
    ///
    /// # Errors
    ///
    /// Out of gas; `Panic(0x22)` if something else was written here.
    pub fn is_empty(&self, cx: &mut Context<'_>) -> Result<bool> {
        Ok(self.len(cx)? == 0)
    }

    /// Reads all of it.
    ///
    /// # Errors
    ///
    /// Out of gas; `Panic(0x22)` if something else was written here.
    pub fn read(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let head = self.place.sload(cx)?;
        let len = len(head)?;
        if len < 32 {
            return Ok(Bytes::copy_from_slice(&head.to_be_bytes::<32>()[..len]));
        }
        let data = self.place.data();
        cx.charge(data.gas.into())?;
        // Grows with what is paid for: the length alone may be anything.
        let mut bytes = Vec::new();
        for word in 0..len.div_ceil(32) {
            bytes.extend_from_slice(&cx.sload(data.plus(U256::from(word)).slot)?.to_be_bytes::<32>());
        }
        bytes.truncate(len);
        Ok(bytes.into())
    }

    /// Writes all of it, and clears what was longer before.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call; `Panic(0x22)` if something else was written here.
    pub fn write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<()> {
        let words = |len: usize| if len < 32 { 0 } else { len.div_ceil(32) };
        let old = words(self.len(cx)?);
        let data = self.place.data();
        if old > 0 || bytes.len() >= 32 {
            cx.charge(data.gas.into())?;
        }
        let head = match bytes.len() {
            len @ 0..32 => {
                let mut head = [0; 32];
                head[..len].copy_from_slice(bytes);
                head[31] = 2 * len as u8;
                U256::from_be_bytes(head)
            }
            len => U256::from(len) * U256::from(2) + U256::ONE,
        };
        self.place.sstore(cx, head)?;
        let new = words(bytes.len());
        for (index, chunk) in bytes.chunks(32).take(new).enumerate() {
            let mut word = [0; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            cx.sstore(data.plus(U256::from(index)).slot, U256::from_be_bytes(word))?;
        }
        for index in new..old {
            cx.sstore(data.plus(U256::from(index)).slot, U256::ZERO)?;
        }
        Ok(())
    }
}

fn len(head: U256) -> Result<usize> {
    let long = head.bit(0);
    let len: usize = match long {
        true => (head >> 1usize).saturating_to(),
        false => usize::from(head.byte(0) / 2),
    };
    match long == (len >= 32) {
        true => Ok(len),
        false => Err(Error::panic(PanicKind::StorageEncodingError)),
    }
}

/// Text of any length: `string`.
#[derive(Clone, Copy, Debug)]
pub struct Text(Blob);

impl Layout for Text {
    const SIZE: Size = Blob::SIZE;

    fn at(place: Place) -> Self {
        Self(Blob::at(place))
    }

    fn place(&self) -> Place {
        self.0.place
    }
}

impl Text {
    /// Reads all of it. What is no UTF-8 is replaced: only native code writes here, and it writes text.
    ///
    /// # Errors
    ///
    /// Out of gas; `Panic(0x22)` if something else was written here.
    pub fn read(&self, cx: &mut Context<'_>) -> Result<String> {
        let bytes = self.0.read(cx)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn write(&self, cx: &mut Context<'_>, text: &str) -> Result<()> {
        self.0.write(cx, text.as_bytes())
    }

    /// Whether it is empty.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn is_empty(&self, cx: &mut Context<'_>) -> Result<bool> {
        self.0.is_empty(cx)
    }
}
