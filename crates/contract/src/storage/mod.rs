//! Storage in Solidity's layout: what `solc --storage-layout` says of the same declarations is true of these.
//!
//! A contract is a struct whose fields are places in its account's storage ([`storage!`](crate::storage!)). A field
//! knows where it lies and nothing else; reading and writing go through the [`Context`], which charges for them:
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use stoa_contract::{Context, Result, storage::{Layout, Mapping, Value}};
//!
//! stoa_contract::storage! {
//!     /// Who paid how much.
//!     pub struct Till {
//!         /// Whether it takes money.
//!         pub open: Value<bool>,
//!         /// Everything paid, in wei.
//!         pub total: Value<U256>,
//!         /// By account, in wei.
//!         pub paid: Mapping<Address, Value<U256>>,
//!     }
//! }
//!
//! impl Till {
//!     fn pay(&self, cx: &mut Context<'_>) -> Result<()> {
//!         let (who, amount) = (cx.caller(), cx.value());
//!         let paid = self.paid.at(&who);
//!         let before = paid.read(cx)?;
//!         paid.write(cx, before + amount)
//!     }
//! }
//!
//! // As `contract Till { bool open; uint256 total; mapping(address => uint256) paid; }` has it.
//! assert_eq!(Till::root().total.place().slot, U256::from(1));
//! assert_eq!(Till::root().paid.place().slot, U256::from(2));
//! ```
//!
//! Hashes on the way to a place (mapping keys, array data) are charged when the place is read or written, each time:
//! finding it costs nothing, using it costs what Solidity's code would pay.

mod array;
mod bytes;
mod mapping;
mod set;
mod value;

pub use array::{Array, FixedArray};
pub use bytes::{Blob, Text};
pub use mapping::{Key, KeyWord, Mapping};
pub use set::EnumerableSet;
pub use value::{Value, Word};

use crate::{Context, Result};
use alloy_primitives::{U256, keccak256};

/// A place in an account's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slot.
    pub slot: U256,
    /// Bytes of the slot below it, where values share one.
    pub offset: u8,
    /// Gas for the hashes that lead to it.
    pub gas: u32,
}

impl Place {
    /// The beginning of a slot.
    #[inline]
    pub const fn slot(slot: U256) -> Self {
        Self { slot, offset: 0, gas: 0 }
    }

    /// Some slots further on.
    #[inline]
    fn plus(self, slots: U256) -> Self {
        Self { slot: self.slot.wrapping_add(slots), offset: 0, gas: self.gas }
    }

    /// Where the data lies of what has its length here.
    fn data(self) -> Self {
        Self { slot: keccak256(self.slot.to_be_bytes::<32>()).into(), offset: 0, gas: self.gas + 36 }
    }

    fn sload(self, cx: &mut Context<'_>) -> Result<U256> {
        cx.charge(self.gas.into())?;
        cx.sload(self.slot)
    }

    fn sstore(self, cx: &mut Context<'_>, word: U256) -> Result<()> {
        cx.charge(self.gas.into())?;
        cx.sstore(self.slot, word)
    }
}

/// How much room something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many bytes of a slot, which others may share.
    Bytes(usize),
    /// So many slots of its own.
    Slots(usize),
}

/// Something that lies in storage.
pub trait Layout: Copy {
    /// The room that it takes.
    const SIZE: Size;

    /// The one that lies at a place.
    fn at(place: Place) -> Self;

    /// Where this one lies.
    fn place(&self) -> Place;
}

/// Places one thing after the other, as Solidity does. What comes out are constants, and no work when a contract runs, where
/// the compiler sees through it: hence `inline`, here and in [`storage!`](crate::storage!).
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    start: Place,
    slots: usize,
    bytes: usize,
}

impl Cursor {
    /// Begins at a place, which is the start of a slot.
    #[inline]
    pub const fn new(start: Place) -> Self {
        Self { start, slots: 0, bytes: 0 }
    }

    /// Skips over something and says where it is: the slot, counted from the start, and the byte in it.
    #[inline]
    pub const fn advance(&mut self, size: Size) -> (usize, u8) {
        match size {
            Size::Bytes(size) => {
                if self.bytes + size > 32 {
                    self.slots += 1;
                    self.bytes = 0;
                }
                let place = (self.slots, self.bytes as u8);
                self.bytes += size;
                place
            }
            Size::Slots(size) => {
                self.close();
                let place = (self.slots, 0);
                self.slots += size;
                place
            }
        }
    }

    #[inline]
    const fn close(&mut self) {
        if self.bytes > 0 {
            self.slots += 1;
            self.bytes = 0;
        }
    }

    /// Places the next thing.
    #[inline]
    pub fn place<L: Layout>(&mut self) -> L {
        let (slots, offset) = self.advance(L::SIZE);
        L::at(Place { offset, ..self.start.plus(U256::from(slots)) })
    }

    /// The slots that a struct with these fields takes.
    pub const fn slots_of(fields: &[Size]) -> usize {
        let mut cursor = Self::new(Place::slot(U256::ZERO));
        let mut i = 0;
        while i < fields.len() {
            cursor.advance(fields[i]);
            i += 1;
        }
        cursor.close();
        cursor.slots
    }
}

/// Declares structs that lie in storage: a contract's state, or a struct in a mapping or an array. Each gets
/// `root()`, which lies at slot 0, and [`Layout`].
#[macro_export]
macro_rules! storage {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $kind:ty),+ $(,)?
    })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $kind,)+
            #[doc(hidden)]
            place: $crate::storage::Place,
        }

        impl $name {
            /// The one at the beginning of an account's storage.
            #[allow(dead_code)]
            #[inline]
            $vis fn root() -> Self {
                $crate::storage::Layout::at($crate::storage::Place::slot($crate::U256::ZERO))
            }
        }

        impl $crate::storage::Layout for $name {
            const SIZE: $crate::storage::Size = $crate::storage::Size::Slots($crate::storage::Cursor::slots_of(&[
                $(<$kind as $crate::storage::Layout>::SIZE),+
            ]));

            #[inline]
            fn at(place: $crate::storage::Place) -> Self {
                let mut cursor = $crate::storage::Cursor::new(place);
                Self { $($field: cursor.place(),)+ place }
            }

            #[inline]
            fn place(&self) -> $crate::storage::Place {
                self.place
            }
        }
    )+};
}
