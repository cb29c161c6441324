//! JSON that forgives: scalars, lists and objects that read what they can and never fail on a strange type.
//!
//! In: any JSON value. Out: a value of the wanted shape, or its default. Only JSON that is broken as JSON is an error.
//! Repeated keys are no error (the last one counts); unknown keys are skipped and can be counted.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Implements the visitor methods for JSON types that the wanted shape does not accept.
macro_rules! otherwise {
    ($value:expr; $($kind:ident),*) => { $( otherwise!(@one $kind $value); )* };
    (@one unit $value:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($value) }
    };
    (@one bool $value:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> { Ok($value) }
    };
    (@one number $value:expr) => {
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> { Ok($value) }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> { Ok($value) }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> { Ok($value) }
    };
    (@one text $value:expr) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> { Ok($value) }
    };
    (@one list $value:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
    (@one object $value:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
}

/// One value that should be a number, a truth value or a text, whichever of them was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Scalar<'de> {
    /// Missing, or `null`.
    #[default]
    Absent,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(u64),
    /// A text.
    Text(Cow<'de, str>),
    /// A list, an object, a negative or broken number.
    Strange,
}

impl Scalar<'_> {
    /// The text; `None` for anything else.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, also when written as text (proto3 JSON writes 64-bit numbers so).
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        }
    }

    /// The truth value; `None` for anything else.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) if text == "true" => Some(true),
            Self::Text(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// The member of an enumeration, by name or by number; its default for anything else.
    pub(super) fn member<T: Default>(&self, named: impl Fn(&[u8]) -> T, numbered: impl Fn(u64) -> T) -> T {
        match self {
            Self::Number(number) => numbered(*number),
            Self::Text(text) => named(text.as_bytes()),
            _ => T::default(),
        }
    }

    /// Whether there is nothing here, or only proto3's empty default.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent) || self.text() == Some("")
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    otherwise!(Scalar::Absent; unit);
    otherwise!(Scalar::Strange; list, object);

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(value).map_or(Scalar::Strange, Scalar::Number))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range and fraction are checked first")]
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        let whole = (0.0..9e15).contains(&value) && value.fract() == 0.0;
        Ok(if whole { Scalar::Number(value as u64) } else { Scalar::Strange })
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A list of texts; members of other types are left out, a lone text is a list of one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Texts<'de>(pub(super) Vec<Cow<'de, str>>);

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    otherwise!(Texts::default(); unit, bool, number, object);

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Texts(vec![Cow::Owned(value.to_owned())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(member) = list.next_element::<Scalar<'de>>()? {
            if let Scalar::Text(text) = member {
                texts.push(text);
            }
        }
        Ok(Texts(texts))
    }
}

impl<'de> Deserialize<'de> for Texts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

/// The first member of a list; nothing when there is none.
#[derive(Debug, Default)]
pub(super) struct First<T>(pub(super) Option<T>);

struct FirstVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
    type Value = First<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    otherwise!(First(None); unit, bool, number, text, object);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let first = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstVisitor(PhantomData))
    }
}

/// A key of an object, borrowed where it has no escapes.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(value.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// An object whose keys are taken one by one.
pub(super) trait LooseObject<'de>: Default {
    /// Takes the value of `key` if the object knows the key; the value must be consumed exactly then.
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;

    /// Hears of a key that was skipped.
    fn skipped(&mut self) {}
}

/// Reads a [`LooseObject`]; anything that is no object reads as its default.
pub(super) struct ObjectVisitor<T>(pub(super) PhantomData<T>);

impl<'de, T: LooseObject<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    otherwise!(T::default(); unit, bool, number, text, list);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = T::default();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if !object.take(&key, &mut map)? {
                object.skipped();
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(object)
    }
}

/// Declares an object of optional fields, each with every key it is written under, and the keys that are known but not
/// needed.
macro_rules! loose_object {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[$doc:meta])* $field:ident : $type:ty = $($key:literal)|+ , )* }
        $( unneeded { $($unneeded:literal)|+ } )?
        $( counts $unknown:ident )?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub(super) struct $name<'de> {
            $( $(#[$doc])* pub(super) $field: $type, )*
            $( /// How many keys were not known.
               pub(super) $unknown: u32, )?
        }

        impl<'de> $crate::read::json::LooseObject<'de> for $name<'de> {
            fn take<A: serde::de::MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
                match key {
                    $( $($key)|+ => self.$field = map.next_value()?, )*
                    $( $($unneeded)|+ => { map.next_value::<serde::de::IgnoredAny>()?; } )?
                    _ => return Ok(false),
                }
                Ok(true)
            }

            $( fn skipped(&mut self) { self.$unknown = self.$unknown.saturating_add(1); } )?
        }

        impl<'de> serde::Deserialize<'de> for $name<'de> {
            fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::read::json::ObjectVisitor(std::marker::PhantomData))
            }
        }
    };
}
pub(super) use loose_object;
