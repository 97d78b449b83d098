//! What clients and engines put into lines: looked at, never taken in. A value of another shape than is expected is one that
//! says nothing, and what lies deep is skipped without recursion.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::HEADER;

/// The fields that say something.
const NAMES: [&str; 6] = ["error", "signature", "key_version", "batch_results", "exportable", "allow_plaintext_backup"];

/// How deep a value is looked at: a list of results, and their fields.
const DEPTH: u8 = 3;

/// A structure that is an object: serde would take a list of its fields as well.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        from.deserialize_map(Map(PhantomData))
    }
}

/// The attempts that a request's headers name, in all spellings of the header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts(pub Vec<String>);

impl<'de> Deserialize<'de> for Attempts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Headers;
        impl<'de> Visitor<'de> for Headers {
            type Value = Attempts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut headers: A) -> Result<Attempts, A::Error> {
                let mut named = Vec::new();
                while let Some(name) = headers.next_key::<String>()? {
                    match name.eq_ignore_ascii_case(HEADER) {
                        true => named.extend(headers.next_value::<Vec<String>>()?),
                        false => drop(headers.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Attempts(named))
            }
        }
        from.deserialize_map(Headers)
    }
}

/// A value, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    Null,
    Bool(bool),
    /// A whole number that is not negative.
    Number(u64),
    Text,
    /// Its items, as far as they were looked at.
    List(Vec<Value>),
    /// How many fields it has, and those of them that say something.
    Object(usize, Vec<(&'static str, Value)>),
    Other,
}

impl Value {
    fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(_, fields) => fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The version of a key that is named: Vault counts them from 1, and 0 stands for the latest.
    pub(super) fn version(&self) -> Option<u64> {
        match self.get("key_version") {
            Some(Self::Number(number)) if *number > 0 => Some(*number),
            _ => None,
        }
    }

    /// Whether a request asks that the key may leave Vault. A text stands there hashed, so all but `false` may be a yes.
    pub(super) fn gives_away(&self) -> bool {
        let asks = |name| self.get(name).is_some_and(|value| *value != Self::Bool(false));
        asks("exportable") || asks("allow_plaintext_backup")
    }

    /// Whether it is what an engine answers with when it will not: an error, and nothing beside it.
    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::Object(1, _)) && self.get("error") == Some(&Self::Text)
    }

    /// By which version each signature of an answer is; `None`: it can't be seen whether there are any.
    pub(super) fn signatures(&self) -> Option<Vec<Option<u64>>> {
        // It stands there hashed, and so does the error of a result that has none.
        let says = |result: &Value, name| result.get(name) == Some(&Self::Text);
        let results = match self.get("batch_results") {
            Some(Self::List(results)) => results.as_slice(),
            Some(_) => return None,
            None => &[],
        };
        if !results.iter().all(|result| says(result, "signature") || says(result, "error")) {
            return None;
        }
        let all = std::iter::once(self).chain(results).filter(|result| says(result, "signature"));
        (says(self, "signature") || self.get("batch_results").is_some()).then(|| all.map(Self::version).collect())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Look(DEPTH).deserialize(from)
    }
}

/// Looks at a value, so deep.
struct Look(u8);

impl<'de> DeserializeSeed<'de> for Look {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        match self.0.checked_sub(1) {
            Some(depth) => {
                while let Some(item) = items.next_element_seed(Look(depth))? {
                    list.push(item);
                }
            }
            None => while items.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (mut count, mut fields) = (0, Vec::new());
        while let Some(name) = entries.next_key::<String>()? {
            count += 1;
            let known = NAMES.into_iter().find(|known| *known == name);
            match known.zip(self.0.checked_sub(1)) {
                Some((known, _)) if fields.iter().any(|(before, _)| *before == known) => {
                    return Err(de::Error::duplicate_field(known));
                }
                Some((known, depth)) => fields.push((known, entries.next_value_seed(Look(depth))?)),
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(count, fields))
    }
}
