//! One value, one sequence of bytes: how the fields of a record are written and read.
//!
//! Integers are big-endian; lists and texts begin with a count of 16 bits; an option is 0, or 1 and its value. Reading
//! is bounded by the input: a count never allocates more than bytes that are there. Threat: bytes that read
//! differently to different readers.

use crate::refusal::{LedgerCode, LedgerRefusal};

/// A value with a canonical form.
pub trait Canonical: Sized {
    /// Appends the form.
    fn write_to(&self, out: &mut Vec<u8>);
    /// Reads the form. Refused with `record-malformed`.
    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal>;
}

/// What is left to read.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], LedgerRefusal> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| malformed("the end of the bytes"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next bytes, as many as there must be.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], LedgerRefusal> {
        self.bytes(N)?.try_into().map_err(|_| malformed("the end of the bytes"))
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), LedgerRefusal> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed(&format!("{} bytes too many", self.0.len()))) }
    }
}

/// Refused: this is not the form of what is read.
#[must_use]
pub fn malformed(found: &str) -> LedgerRefusal {
    LedgerRefusal::new(LedgerCode::RecordMalformed, found, "the form of docs/LEDGER.md")
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    // Texts and lists are bounded far below this when they are made; one that is not could never be read back.
    out.extend(u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Canonical for $type {
            fn write_to(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }

            fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
                Ok(Self::from_be_bytes(reader.array()?))
            }
        }
    )+};
}

integers!(u8, u16, u32, u64);

impl<const N: usize> Canonical for [u8; N] {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.extend(self);
    }

    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
        reader.array()
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write_to(out);
        }
    }

    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
        match reader.array()? {
            [0] => Ok(None),
            [1] => T::read_from(reader).map(Some),
            _ => Err(malformed("a flag that is neither 0 nor 1")),
        }
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn write_to(&self, out: &mut Vec<u8>) {
        put_count(out, self.len());
        for value in self {
            value.write_to(out);
        }
    }

    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
        let count = u16::read_from(reader)?;
        (0..count).map(|_| T::read_from(reader)).collect()
    }
}

impl Canonical for String {
    fn write_to(&self, out: &mut Vec<u8>) {
        put_count(out, self.len());
        out.extend(self.as_bytes());
    }

    fn read_from(reader: &mut Reader<'_>) -> Result<Self, LedgerRefusal> {
        let len = usize::from(u16::read_from(reader)?);
        let text =
            std::str::from_utf8(reader.bytes(len)?).map_err(|_| malformed("a text that is not UTF-8"))?;
        Ok(text.to_owned())
    }
}

/// The form of a struct: its fields, in the order that is given.
macro_rules! fields {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::canonical::Canonical for $type {
            fn write_to(&self, out: &mut Vec<u8>) {
                $(self.$field.write_to(out);)+
            }

            fn read_from(
                reader: &mut $crate::canonical::Reader<'_>,
            ) -> Result<Self, $crate::refusal::LedgerRefusal> {
                $(let $field = $crate::canonical::Canonical::read_from(reader)?;)+
                Ok(Self { $($field),+ })
            }
        }
    };
}

/// The form of a struct of one field without a name: that field.
macro_rules! wrapped {
    ($($type:ident),+ $(,)?) => {$(
        impl $crate::canonical::Canonical for $type {
            fn write_to(&self, out: &mut Vec<u8>) {
                self.0.write_to(out);
            }

            fn read_from(
                reader: &mut $crate::canonical::Reader<'_>,
            ) -> Result<Self, $crate::refusal::LedgerRefusal> {
                $crate::canonical::Canonical::read_from(reader).map(Self)
            }
        }
    )+};
}

/// The form of an enum without fields: one byte each, and its name in text.
macro_rules! tags {
    ($(#[$doc:meta])* pub enum $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $tag:literal, $name:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum $type {
            $($(#[$variant_doc])* #[serde(rename = $name)] $variant,)+
        }

        impl $type {
            /// Every one, in the order of their bytes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, as it stands in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl $crate::canonical::Canonical for $type {
            fn write_to(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $tag,)+ });
            }

            fn read_from(
                reader: &mut $crate::canonical::Reader<'_>,
            ) -> Result<Self, $crate::refusal::LedgerRefusal> {
                match reader.array()? {
                    $([$tag] => Ok(Self::$variant),)+
                    [tag] => Err($crate::canonical::malformed(&format!("{tag} for {}", stringify!($type)))),
                }
            }
        }
    };
}

pub(crate) use {fields, tags, wrapped};
