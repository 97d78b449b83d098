//! JSON with one meaning: what is ours has one spelling (RFC 8785), what is foreign has no duplicate keys.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::words::one_line;

/// Why a JSON text was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, not of the expected shape, or with a key twice.
    #[error("{what}: {cause}")]
    Shape {
        /// What was being read.
        what: &'static str,
        /// What the parser said, with line and column; bounded and escaped, because it quotes what it read.
        cause: String,
    },
    /// Well-formed, but not spelled as RFC 8785 spells it.
    #[error("{0}: not in canonical form (RFC 8785)")]
    NotCanonical(&'static str),
    /// A number that canonical JSON can't carry, or another value that has no spelling.
    #[error("{what}: cannot be written as canonical JSON: {cause}")]
    Unwritable {
        /// What was being written.
        what: &'static str,
        /// What the writer said.
        cause: String,
    },
    /// More bytes than the format allows.
    #[error("{what}: {len} bytes, and the limit is {limit}")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// How many bytes there were.
        len: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// Writes the one canonical spelling of a value.
///
/// # Errors
/// A value that JSON has no spelling for (a map with keys that are no strings, a NaN), or a whole number that is not the
/// same one as a double: RFC 8785 would write its neighbour.
pub fn canonical<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, JsonError> {
    let unwritable = |cause: String| JsonError::Unwritable { what, cause: one_line(&cause) };
    let plain = serde_json::to_value(value).map_err(|e| unwritable(e.to_string()))?;
    if let Some(number) = inexact(&plain) {
        return Err(unwritable(format!("{number} is beyond the whole numbers that every reader reads alike")));
    }
    serde_json_canonicalizer::to_vec(&plain).map_err(|e| unwritable(e.to_string()))
}

/// The first whole number that a double might not hold (RFC 7493, section 2.2).
fn inexact(value: &Value) -> Option<&Number> {
    const EXACT: u64 = (1 << 53) - 1;
    match value {
        Value::Number(number) => {
            let large = number.as_u64().or_else(|| Some(number.as_i64()?.unsigned_abs())).is_some_and(|n| n > EXACT);
            large.then_some(number)
        }
        Value::Array(list) => list.iter().find_map(inexact),
        Value::Object(map) => map.values().find_map(inexact),
        _ => None,
    }
}

/// Reads a value of ours: parse, write again, compare. One spelling only, so no key twice, no trailing
/// byte and no unknown field that would be lost on the way.
///
/// # Errors
/// Any other spelling, and any other shape.
pub fn parse_canonical<T: DeserializeOwned + Serialize>(what: &'static str, bytes: &[u8]) -> Result<T, JsonError> {
    let value: T = serde_json::from_slice(bytes).map_err(|cause| shape(what, &cause))?;
    if canonical(what, &value)? != bytes {
        return Err(JsonError::NotCanonical(what));
    }
    Ok(value)
}

/// Reads a value of a format that others define: unknown fields pass, a key twice does not.
///
/// # Errors
/// Not JSON, a key twice at any depth, trailing bytes, or another shape.
pub fn parse_foreign<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, JsonError> {
    let Unique(value) = serde_json::from_slice(bytes).map_err(|cause| shape(what, &cause))?;
    shaped(what, value)
}

/// What a value that was read is, if it has that shape.
///
/// # Errors
/// Another shape.
pub fn shaped<T: DeserializeOwned>(what: &'static str, value: Value) -> Result<T, JsonError> {
    T::deserialize(Strict(value)).map_err(|cause| shape(what, &cause))
}

fn shape(what: &'static str, cause: &serde_json::Error) -> JsonError {
    JsonError::Shape { what, cause: one_line(&cause.to_string()) }
}

/// A value whose structures are objects. Serde would read a list of a structure's fields, in their order, as well; no other
/// reader does.
struct Strict(Value);

impl<'de> de::IntoDeserializer<'de, serde_json::Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(list) => {
                let mut items = SeqDeserializer::new(list.into_iter().map(Strict));
                let read = visitor.visit_seq(&mut items)?;
                items.end().map(|()| read)
            }
            Value::Object(map) => {
                let mut entries = MapDeserializer::new(map.into_iter().map(|(key, value)| (key, Strict(value))));
                let read = visitor.visit_map(&mut entries)?;
                entries.end().map(|()| read)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        // How serde_json takes a value as the text it was.
        if name == "$serde_json::private::RawValue" {
            return self.0.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// A JSON value in which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        UniqueSeed.deserialize(d).map(Self)
    }
}

struct UniqueSeed;

impl<'de> DeserializeSeed<'de> for UniqueSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(UniqueSeed)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(UniqueSeed)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format_args!("key {:?} twice", crate::digest::shortened(&key))));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_duplicate_key_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"b":1,"b":2}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(parse_foreign::<Value>("test", text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_foreign::<Value>("test", br#"{"a":{"b":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn a_structure_is_an_object_and_never_a_list() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Inner {
            a: u32,
            b: Option<String>,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Outer {
            inner: Inner,
            list: Vec<Inner>,
        }
        let inner = || Inner { a: 1, b: None };
        let good = br#"{"inner":{"a":1,"b":null},"list":[{"a":1,"c":[1]}]}"#;
        assert_eq!(parse_foreign::<Outer>("test", good).unwrap(), Outer { inner: inner(), list: vec![inner()] });
        for text in [r#"[{"a":1},[]]"#, r#"{"inner":[1,null],"list":[]}"#, r#"{"inner":{"a":1},"list":[[1,null]]}"#] {
            assert!(parse_foreign::<Outer>("test", text.as_bytes()).is_err(), "{text}");
        }
        let raw = parse_foreign::<BTreeMap<String, Box<serde_json::value::RawValue>>>("test", br#"{"a":{"b":[1]}}"#);
        assert_eq!(raw.unwrap()["a"].get(), r#"{"b":[1]}"#);
    }

    #[test]
    fn ours_has_one_spelling() {
        type Ours = BTreeMap<String, u32>;
        assert!(parse_canonical::<Ours>("test", br#"{"a":1,"b":2}"#).is_ok());
        for text in [r#"{"b":2,"a":1}"#, r#"{"a": 1}"#, r#"{"a":1,"a":1}"#, "{\"a\":1}\n", r#"{"\u0061":1}"#] {
            assert!(parse_canonical::<Ours>("test", text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_that_would_be_another_one_is_not_written() {
        assert_eq!(canonical("test", &((1_u64 << 53) - 1)).unwrap(), b"9007199254740991");
        for large in [1_i64 << 53, -(1 << 53), i64::MIN, i64::MAX] {
            assert!(canonical("test", &vec![large]).is_err(), "{large}");
        }
        assert!(canonical("test", &BTreeMap::from([("a", u64::MAX)])).is_err());
        assert!(parse_canonical::<u64>("test", b"9007199254740992").is_err());
    }

    #[test]
    fn what_the_parser_quotes_is_bounded_and_escaped() {
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ours {}
        let long = format!("{{\"\\u001b[2J{}\":1}}", "x".repeat(10_000));
        let error = parse_canonical::<Ours>("test", long.as_bytes()).unwrap_err().to_string();
        assert!(error.len() < 500 && !error.contains(char::is_control) && error.contains("line 1"), "{error}");
        let error = parse_foreign::<u32>("test", format!("{:?}", "y".repeat(10_000)).as_bytes()).unwrap_err();
        assert!(error.to_string().len() < 500, "{error}");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(parse_foreign::<Value>("test", deep.as_bytes()).is_err());
    }
}
