use crate::wasm::errno::Errno;

/// What an area has room for.
#[derive(Debug)]
pub(super) struct Quota {
    pub bytes: u64,
    pub files: u64,
    /// Something did not fit.
    pub exceeded: bool,
}

impl Quota {
    fn take(left: &mut u64, exceeded: &mut bool, amount: u64) -> Result<(), Errno> {
        let after = left.checked_sub(amount);
        *exceeded |= after.is_none();
        *left = after.ok_or(Errno::NoSpace)?;
        Ok(())
    }

    pub fn take_bytes(&mut self, amount: u64) -> Result<(), Errno> {
        Self::take(&mut self.bytes, &mut self.exceeded, amount)
    }

    pub fn take_file(&mut self) -> Result<(), Errno> {
        Self::take(&mut self.files, &mut self.exceeded, 1)
    }
}
