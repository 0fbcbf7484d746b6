/// Why a call of the system failed, with the numbers of WASI preview 1 (`witx/typenames.witx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
#[repr(u16)]
pub(crate) enum Errno {
    TooBig = 1,
    BadFile = 8,
    Exists = 20,
    Fault = 21,
    FileTooBig = 22,
    BadText = 25,
    Invalid = 28,
    Io = 29,
    IsFolder = 31,
    TooManyFiles = 33,
    NameTooLong = 37,
    NotFound = 44,
    NoSpace = 51,
    NotFolder = 54,
    NotEmpty = 55,
    NotSocket = 57,
    NotSupported = 58,
    ReadOnly = 69,
    NotSeekable = 70,
    OtherFileSystem = 75,
    NotCapable = 76,
}
