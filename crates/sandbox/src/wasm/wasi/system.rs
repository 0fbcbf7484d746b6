//! The system as one program sees it: descriptors, arguments, clock, randomness.

use super::memory::Memory;
use crate::wasm::{
    errno::Errno,
    fs::{Files, NodeId},
    system::System,
};
use std::collections::VecDeque;

/// Open descriptors at most.
const MOST_DESCRIPTORS: usize = 128;
/// Names that a descriptor remembers of a folder that is listed.
const MOST_REMEMBERED: usize = 64;

pub(super) type Done = Result<(), Errno>;

/// What a descriptor stands for.
#[derive(Clone, Debug)]
pub(super) enum Open {
    /// Standard input: empty.
    Nothing,
    /// Standard output or error.
    Log,
    /// A file or folder.
    Node(Position),
}

#[derive(Clone, Debug)]
pub(super) struct Position {
    pub id: NodeId,
    pub offset: u64,
    pub read: bool,
    pub write: bool,
    pub append: bool,
    /// Under which name the program was given it.
    pub preopened: Option<&'static str>,
    /// Where a listing goes on: cookies, and the names that they come after.
    pub remembered: VecDeque<(u64, String)>,
}

impl Position {
    pub fn new(id: NodeId, read: bool, write: bool) -> Self {
        Self { id, offset: 0, read, write, append: false, preopened: None, remembered: VecDeque::new() }
    }

    pub fn remember(&mut self, cookie: u64, name: &str) {
        if self.remembered.len() == MOST_REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back((cookie, name.to_owned()));
    }
}

/// What a program has open, by number.
pub(crate) struct Descriptors(pub(super) Vec<Option<Open>>);

impl Descriptors {
    /// Standard input, output and error, and the folders.
    pub fn new() -> Self {
        let folder = |id, name| Some(Open::Node(Position { preopened: Some(name), ..Position::new(id, true, true) }));
        let [data, out, scratch] = Files::FOLDERS.map(|(id, name)| folder(id, name));
        Self(vec![Some(Open::Nothing), Some(Open::Log), Some(Open::Log), data, out, scratch])
    }
}

impl System {
    pub(super) fn descriptor(&mut self, number: u32) -> Result<&mut Open, Errno> {
        self.descriptors.0.get_mut(number as usize).and_then(Option::as_mut).ok_or(Errno::BadFile)
    }

    /// A descriptor that has to be a file's or folder's.
    pub(super) fn position(&mut self, number: u32) -> Result<&mut Position, Errno> {
        match self.descriptor(number)? {
            Open::Node(position) => Ok(position),
            Open::Nothing | Open::Log => Err(Errno::NotSupported),
        }
    }

    /// Opens a descriptor under the lowest number that is free.
    pub(super) fn insert(&mut self, position: Position) -> Result<u32, Errno> {
        let free = self.descriptors.0.iter().position(Option::is_none).unwrap_or(self.descriptors.0.len());
        if free >= MOST_DESCRIPTORS {
            return Err(Errno::TooManyFiles);
        }
        self.files.open(position.id)?;
        let open = Some(Open::Node(position));
        match self.descriptors.0.get_mut(free) {
            Some(place) => *place = open,
            None => self.descriptors.0.push(open),
        }
        u32::try_from(free).map_err(|_| Errno::TooManyFiles)
    }

    fn clock(&self, clock: u32) -> Result<u64, Errno> {
        match clock {
            0 => Ok(self.now()),
            1..=3 => Ok(self.elapsed()),
            _ => Err(Errno::Invalid),
        }
    }

    pub(super) fn clock_time_get(&mut self, memory: &mut Memory<'_>, clock: u32, _precision: u64, to: u32) -> Done {
        memory.write_u64(to, self.clock(clock)?)
    }

    pub(super) fn clock_res_get(&mut self, memory: &mut Memory<'_>, clock: u32, to: u32) -> Done {
        self.clock(clock)?;
        memory.write_u64(to, 1)
    }

    pub(super) fn random_get(&mut self, memory: &mut Memory<'_>, pointer: u32, length: u32) -> Done {
        let buffer = memory.buffer(pointer, length)?;
        self.random(memory.get_mut(&buffer));
        Ok(())
    }

    pub(super) fn args_sizes_get(&mut self, memory: &mut Memory<'_>, count: u32, bytes: u32) -> Done {
        let sum: usize = self.arguments.iter().map(|word| word.len() + 1).sum();
        memory.write_u32(count, self.arguments.len().try_into().map_err(|_| Errno::TooBig)?)?;
        memory.write_u32(bytes, sum.try_into().map_err(|_| Errno::TooBig)?)
    }

    pub(super) fn args_get(&mut self, memory: &mut Memory<'_>, mut list: u32, mut text: u32) -> Done {
        for word in &self.arguments {
            memory.write_u32(list, text)?;
            let word = [word.as_bytes(), b"\0"].concat();
            memory.write(text, &word)?;
            list = list.checked_add(4).ok_or(Errno::Fault)?;
            text = u32::try_from(word.len()).ok().and_then(|length| text.checked_add(length)).ok_or(Errno::Fault)?;
        }
        Ok(())
    }

    /// Waits for the first of several events, each of 48 bytes; tells those that have come, each in 32. Files are always
    /// ready; for a clock, time is let pass at once.
    pub(super) fn poll_oneoff(&mut self, memory: &mut Memory<'_>, from: u32, to: u32, count: u32, told: u32) -> Done {
        if count == 0 || count > 1024 {
            return Err(Errno::Invalid);
        }
        self.charge(count as usize * 80);
        let subscriptions = memory.buffer(from, count * 48)?;
        let subscriptions = memory.get(&subscriptions).to_vec();
        memory.buffer(to, count * 32)?;
        let word = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
        };
        // What each one waits for: nothing, or until so many nanoseconds from the start.
        let mut events = Vec::new();
        for subscription in subscriptions.as_chunks::<48>().0 {
            let (user, kind) = (word(subscription, 0), subscription[8]);
            let due = match kind {
                0 => {
                    let clock = u32::from_le_bytes([16, 17, 18, 19].map(|at| subscription[at]));
                    let (timeout, absolute) = (word(subscription, 24), subscription[40] & 1 == 1);
                    self.clock(clock).map(|now| {
                        let wait = if absolute { timeout.saturating_sub(now) } else { timeout };
                        self.elapsed().saturating_add(wait)
                    })
                }
                1 | 2 => {
                    let number = u32::from_le_bytes([16, 17, 18, 19].map(|at| subscription[at]));
                    self.descriptor(number).map(|_| 0)
                }
                _ => Err(Errno::Invalid),
            };
            events.push((user, kind, due));
        }
        let first = events.iter().map(|(.., due)| due.unwrap_or(0)).min().unwrap_or(0);
        self.wait_until(first);
        let now = self.elapsed();
        let mut tell = 0;
        for (user, kind, due) in events {
            if due.is_ok_and(|due| due > now) {
                continue;
            }
            let mut event = [0; 32];
            event[..8].copy_from_slice(&user.to_le_bytes());
            event[8..10].copy_from_slice(&due.err().map_or(0, |error| error as u16).to_le_bytes());
            event[10] = kind;
            memory.write(to + tell * 32, &event)?;
            tell += 1;
        }
        memory.write_u32(told, tell)
    }
}
