use crate::Sealing;
use commonware_codec::{
    Buf, Copying, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, FixedSize as _, ReadExt as _,
};
use std::io::{self, Read, Write};
use stoa_privacy::{
    AssetId, DataKey, SealedKey,
    object::{OpenWriter, SealReader},
};

/// How content is sealed on its way in and opened on its way out.
pub trait Seal: Sync {
    /// Wraps what is read, and says how it is to be opened.
    ///
    /// # Errors
    ///
    /// If there is no key to seal with.
    fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)>;

    /// Wraps what is written, so that `plain` gets what was sealed. The last bytes, and whether they were the right ones,
    /// may come with the flush.
    ///
    /// # Errors
    ///
    /// If there is no key for this seal.
    fn open<'a>(&self, sealing: &Sealing, plain: Box<dyn Write + 'a>) -> io::Result<Box<dyn Write + 'a>>;

    /// Whether what was sealed so before, of the same content, is as good as what this would make of it: whoever opens the one
    /// opens the other.
    ///
    /// `alone` says that the same owner sealed it as an object of its own, which may carry its own key. What is in a folder opens
    /// with the folder's seal or not at all.
    fn fits(&self, sealing: &Sealing, alone: bool) -> bool;
}

/// No seal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Seal for Plain {
    fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)> {
        Ok((Sealing::Plain, plain))
    }

    fn open<'a>(&self, sealing: &Sealing, plain: Box<dyn Write + 'a>) -> io::Result<Box<dyn Write + 'a>> {
        match sealing {
            Sealing::Plain => Ok(plain),
            Sealing::Sealed(_) => Err(io::Error::other("the object is sealed, and there is no key to open it with")),
        }
    }

    fn fits(&self, sealing: &Sealing, _: bool) -> bool {
        *sealing == Sealing::Plain
    }
}

/// Where the key of sealed content comes from: what the manifest says to whoever wants to open it.
///
/// `1 | asset (32)` or `2 | sealed key (112)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// From the keepers of an asset, and its owner.
    Asset(AssetId),
    /// From the key's own box: one reader opens it.
    Reader(SealedKey),
}

const ASSET: u8 = 1;
const READER: u8 = 2;

impl KeySource {
    /// What the key is bound to.
    pub const fn asset(&self) -> AssetId {
        match self {
            Self::Asset(asset) => *asset,
            Self::Reader(sealed) => sealed.asset,
        }
    }

    /// What a manifest says; `None` if its content is not sealed.
    ///
    /// # Errors
    ///
    /// If it is sealed in a way that is not known here.
    pub fn of(sealing: &Sealing) -> io::Result<Option<Self>> {
        let unknown =
            |_| io::Error::new(io::ErrorKind::InvalidData, "the object is sealed in a way that is not known here");
        match sealing {
            Sealing::Plain => Ok(None),
            Sealing::Sealed(header) => Self::decode(Copying(&header[..])).map(Some).map_err(unknown),
        }
    }
}

impl commonware_codec::Write for KeySource {
    fn write(&self, buf: &mut impl bytes::BufMut) {
        match self {
            Self::Asset(asset) => {
                ASSET.write(buf);
                asset.write(buf);
            }
            Self::Reader(sealed) => {
                READER.write(buf);
                sealed.write(buf);
            }
        }
    }
}

impl EncodeSize for KeySource {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Asset(_) => AssetId::SIZE,
            Self::Reader(_) => SealedKey::SIZE,
        }
    }
}

impl commonware_codec::Read for KeySource {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            ASSET => AssetId::read(buf).map(Self::Asset),
            READER => SealedKey::read(buf).map(Self::Reader),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

/// Content under one data key.
#[derive(Debug)]
pub struct Sealed {
    key: DataKey,
    source: KeySource,
}

impl Sealed {
    /// Under this key, which whoever opens it has from there.
    pub const fn new(key: DataKey, source: KeySource) -> Self {
        Self { key, source }
    }
}

impl Seal for Sealed {
    fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)> {
        let sealed = SealReader::new(&self.key, self.source.asset(), plain, &mut rand::rng());
        Ok((Sealing::Sealed(self.source.encode().to_vec()), Box::new(sealed)))
    }

    fn open<'a>(&self, sealing: &Sealing, plain: Box<dyn Write + 'a>) -> io::Result<Box<dyn Write + 'a>> {
        match KeySource::of(sealing)? {
            Some(source) if source.asset() == self.source.asset() => {
                let key = self.key.expose(|key| DataKey::from_bytes(*key));
                Ok(Box::new(OpenWriter::new(key, source.asset(), plain)))
            }
            Some(_) => Err(io::Error::other("the object is sealed under another key")),
            None => Ok(plain),
        }
    }

    fn fits(&self, sealing: &Sealing, alone: bool) -> bool {
        match (KeySource::of(sealing), self.source) {
            (Ok(Some(known)), source) if known == source => true,
            // Each has its key with it, sealed to the same owner.
            (Ok(Some(KeySource::Reader(_))), KeySource::Reader(_)) => alone,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, Code, Limits, Owner, Put, Store};
    use std::{
        fs::{self, File},
        os::unix::fs::PermissionsExt as _,
        path::Path,
        time::{Duration, SystemTime},
    };

    #[test]
    fn what_was_sealed_comes_back_under_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Limits { margin: 0, ..Limits::default() }).unwrap();
        let (asset, key) = (AssetId([1; 32].into()), || DataKey::from_bytes([2; 32]));
        let seal = Sealed::new(key(), KeySource::Asset(asset));
        let data: Vec<_> = (0..700_000_u32).map(|at| at as u8).collect();
        for code in [None, Code::new(4, 10)] {
            let id = store.put(&data[..], Put { code, seal: &seal, ..Put::default() }).unwrap();
            assert_eq!(KeySource::of(&store.manifest(id).unwrap().sealing).unwrap(), Some(KeySource::Asset(asset)));
            let out = folder.path().join("out");
            store.get_to(id, &out, &seal).unwrap();
            assert!(std::fs::read(&out).unwrap() == data);
            // As it is stored it is something else, and it opens under no other key.
            let mut stored = Vec::new();
            store.get(id, &mut stored).unwrap();
            assert!(stored.windows(64).all(|window| window != &data[..64]));
            let wrong = folder.path().join("wrong");
            for seal in [
                Sealed::new(DataKey::from_bytes([3; 32]), KeySource::Asset(asset)),
                Sealed::new(key(), KeySource::Asset(AssetId([9; 32].into()))),
            ] {
                assert!(store.get_to(id, &wrong, &seal).is_err());
            }
            assert!(store.get_to(id, &wrong, &Plain).is_err() && !wrong.exists());
        }
    }

    /// Files that have not changed for so long that their times tell whether they do.
    fn settled(folder: &Path) -> Vec<u8> {
        let data: Vec<_> = (0..300_000_u32).map(|at| (at >> 3) as u8).collect();
        fs::create_dir_all(folder.join("within")).unwrap();
        for name in ["file", "within/another"] {
            fs::write(folder.join(name), &data).unwrap();
            let file = File::options().write(true).open(folder.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        }
        data
    }

    fn key(number: u8) -> DataKey {
        DataKey::from_bytes([number; 32])
    }

    fn of_asset(number: u8) -> Sealed {
        Sealed::new(key(number), KeySource::Asset(AssetId([number; 32].into())))
    }

    /// With a box that nobody opens: these tests have the key.
    fn of_reader(number: u8) -> Sealed {
        let sealed = SealedKey::decode(Copying(&[number; SealedKey::SIZE])).unwrap();
        Sealed::new(key(number), KeySource::Reader(sealed))
    }

    #[test]
    fn an_unchanged_file_is_known_again_under_the_same_seal_and_put_anew_under_another() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Limits { margin: 0, ..Limits::default() }).unwrap();
        let (file, out) = (folder.path().join("files/file"), folder.path().join("out"));
        let data = settled(&folder.path().join("files"));
        let owner = Owner([7; 32]);
        for code in [None, Code::new(2, 3)] {
            let put =
                |seal: &dyn Seal, owner| store.put_file(&file, Put { code, seal, owner, ..Put::default() }).unwrap();
            // As after a publication that was broken off: its key is lost, and the next one has another.
            let mut known = Vec::new();
            let seals: [&dyn Seal; 4] = [&of_asset(1), &of_asset(2), &Plain, &of_reader(3)];
            for seal in seals {
                let id = put(seal, owner);
                assert!(!known.contains(&id), "it is opened with another key");
                store.get_to(id, &out, seal).unwrap();
                assert!(fs::read(&out).unwrap() == data);
                // Whoever seals draws a nonce, so that the same id says that nothing was sealed.
                assert_eq!(put(seal, owner), id);
                known.push(id);
            }
            // An object that has its owner's key with it opens for him whatever the next one would have.
            assert_eq!(put(&of_reader(4), owner), known[3]);
            // But who nobody is has no key.
            let nobodys = put(&of_reader(3), Owner::LOCAL);
            assert!(put(&of_reader(4), Owner::LOCAL) != nobodys);
        }
    }

    #[test]
    fn what_was_sealed_is_written_for_its_reader_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Limits { margin: 0, ..Limits::default() }).unwrap();
        let (from, to, seal) = (folder.path().join("files"), folder.path().join("to"), of_asset(1));
        settled(&from);
        fs::set_permissions(from.join("file"), fs::Permissions::from_mode(0o755)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let id = store.put_folder(&from, Put { seal: &seal, ..Put::default() }, u64::MAX - 1).unwrap();
        store.get_folder(id, &to, &seal, Bounds::default()).unwrap();
        assert_eq!(
            ["", "file", "within", "within/another"].map(|path| mode(&to.join(path))),
            [0o700, 0o700, 0o700, 0o600]
        );
        let out = folder.path().join("out");
        let id = store.put(&b"rows"[..], Put { seal: &seal, ..Put::default() }).unwrap();
        store.get_to(id, &out, &seal).unwrap();
        assert_eq!(mode(&out), 0o600);
        // What anybody may read is written as any other file.
        let id = store.put(&b"rows"[..], Put::default()).unwrap();
        fs::remove_file(&out).unwrap();
        store.get_to(id, &out, &Plain).unwrap();
        File::create(folder.path().join("any")).unwrap();
        assert_eq!(mode(&out), mode(&folder.path().join("any")));
    }

    #[test]
    fn what_is_in_a_folder_that_is_put_again_opens_with_the_new_seal() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Limits { margin: 0, ..Limits::default() }).unwrap();
        let (from, to) = (folder.path().join("files"), folder.path().join("to"));
        let data = settled(&from);
        let put = |seal: &dyn Seal| {
            let put = Put { owner: Owner([7; 32]), seal, ..Put::default() };
            store.put_folder(&from, put, u64::MAX - 1).unwrap()
        };
        let seals: [&dyn Seal; 4] = [&of_asset(1), &of_asset(2), &of_reader(3), &of_reader(4)];
        for seal in seals {
            let id = put(seal);
            store.get_folder(id, &to, seal, Bounds::default()).unwrap();
            assert!(fs::read(to.join("within/another")).unwrap() == data);
            fs::remove_dir_all(&to).unwrap();
            let ids = |id| store.folder(id, seal).unwrap().entries().iter().map(|entry| entry.id).collect::<Vec<_>>();
            let file = |id| *ids(id).first().unwrap();
            assert_eq!(file(put(seal)), file(id), "under the same seal it is not sealed again");
        }
    }

    #[test]
    fn a_key_source_has_one_encoding() {
        let source = KeySource::Asset(AssetId([1; 32].into()));
        let sealing = Sealing::Sealed(source.encode().to_vec());
        assert_eq!(KeySource::of(&sealing).unwrap(), Some(source));
        for wrong in [vec![], vec![9], [&source.encode()[..], &[0]].concat()] {
            assert!(KeySource::of(&Sealing::Sealed(wrong)).is_err());
        }
        assert_eq!(KeySource::of(&Sealing::Plain).unwrap(), None);
    }
}
