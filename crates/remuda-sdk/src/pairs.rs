//! Names with texts, made a value of: queries, forms, path parameters, environments.
//!
//! Owner: the extractors that have such pairs. Invariant: an error knows the name it is about.

use std::{borrow::Cow, fmt};

use serde::{
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
        Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

/// A name and its text.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What is wrong with which of them.
#[derive(Debug)]
pub(crate) struct PairError {
    pub(crate) name: Option<String>,
    pub(crate) is_missing: bool,
    message: String,
}

impl PairError {
    fn about(mut self, name: &str) -> Self {
        self.name.get_or_insert_with(|| name.to_owned());
        self
    }

    /// What is wrong, without the name.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "`{name}` {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for PairError {}

impl serde::de::Error for PairError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { name: None, is_missing: false, message: message.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { name: Some(field.to_owned()), is_missing: true, message: "is missing".to_owned() }
    }
}

/// A value with a field for each name; a name that comes several times is a sequence.
pub(crate) fn from_pairs<T: DeserializeOwned>(pairs: &[Pair<'_>]) -> Result<T, PairError> {
    T::deserialize(Pairs(pairs))
}

/// The same; where `T` is no struct and no map, a tuple of the texts, or the only one.
pub(crate) fn from_texts<T: DeserializeOwned>(pairs: &[Pair<'_>]) -> Result<T, PairError> {
    T::deserialize(Texts(pairs))
}

/// The pairs of `application/x-www-form-urlencoded`.
pub(crate) fn decode(text: &[u8]) -> Vec<Pair<'_>> {
    form_urlencoded::parse(text).collect()
}

struct Pairs<'a>(&'a [Pair<'a>]);

impl<'de> Deserializer<'de> for Pairs<'_> {
    type Error = PairError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        visitor.visit_map(Fields { pairs: self.0, next: 0 })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, PairError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        visitor.visit_seq(Entries(self.0.iter()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Each name once, in the order of their first texts.
struct Fields<'a> {
    pairs: &'a [Pair<'a>],
    next: usize,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = PairError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, PairError> {
        while let Some((name, _)) = self.pairs.get(self.next) {
            self.next += 1;
            if self.pairs[..self.next - 1].iter().all(|(before, _)| before != name) {
                return seed.deserialize(text(name)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, PairError> {
        let (name, text) = &self.pairs[self.next - 1];
        let value = Value { name, text, later: &self.pairs[self.next..] };
        seed.deserialize(value).map_err(|error| error.about(name))
    }
}

/// The pairs themselves.
struct Entries<'a>(std::slice::Iter<'a, Pair<'a>>);

impl<'de> SeqAccess<'de> for Entries<'_> {
    type Error = PairError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, PairError> {
        let Some((name, text)) = self.0.next() else { return Ok(None) };
        let pair = [(Cow::Borrowed(""), Cow::Borrowed(&**name)), ("".into(), (&**text).into())];
        seed.deserialize(Texts(&pair)).map(Some).map_err(|error| error.about(name))
    }
}

struct Texts<'a>(&'a [Pair<'a>]);

impl Texts<'_> {
    fn only(&self) -> Result<Value<'_>, PairError> {
        match self.0 {
            [(name, text)] => Ok(Value { name, text, later: &[] }),
            all => Err(serde::de::Error::custom(format!(
                "there are {} parameters, not one",
                all.len()
            ))),
        }
    }
}

macro_rules! only {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
            let value = self.only()?;
            value.$method(visitor).map_err(|error| error.about(value.name))
        }
    )*};
}

impl<'de> Deserializer<'de> for Texts<'_> {
    type Error = PairError;

    only! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_option deserialize_identifier
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, PairError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        visitor.visit_seq(Elements(self.0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, PairError> {
        if length != self.0.len() {
            let there = self.0.len();
            let message = format!("there are {there} parameters, not {length}");
            return Err(serde::de::Error::custom(message));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, PairError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        Pairs(self.0).deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, PairError> {
        Pairs(self.0).deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, PairError> {
        let value = self.only()?;
        value.deserialize_enum(name, variants, visitor).map_err(|error| error.about(value.name))
    }

    forward_to_deserialize_any! { unit unit_struct ignored_any }
}

/// Texts, without their names.
struct Elements<'a>(&'a [Pair<'a>]);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = PairError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, PairError> {
        let Some(((name, text), later)) = self.0.split_first() else { return Ok(None) };
        self.0 = later;
        let value = Value { name, text, later: &[] };
        seed.deserialize(value).map(Some).map_err(|error| error.about(name))
    }
}

fn text(text: &str) -> StrDeserializer<'_, PairError> {
    text.into_deserializer()
}

/// One text, and the pairs after it.
#[derive(Clone, Copy)]
struct Value<'a> {
    name: &'a str,
    text: &'a str,
    later: &'a [Pair<'a>],
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
            match self.text.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(self.is_no(stringify!($type))),
            }
        }
    )*};
}

impl Value<'_> {
    fn is_no(&self, wanted: &str) -> PairError {
        serde::de::Error::custom(format!("is \"{}\", which is no {wanted}", self.text))
    }
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = PairError;

    parsed! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        visitor.visit_str(self.text)
    }

    /// Also what browsers and environments say for it.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        match self.text {
            "true" | "1" | "on" => visitor.visit_bool(true),
            "false" | "0" | "off" => visitor.visit_bool(false),
            _ => Err(self.is_no("bool")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, PairError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PairError> {
        let first = [(Cow::Borrowed(self.name), Cow::Borrowed(self.text))];
        let later = self.later.iter().filter(|(name, _)| name == self.name);
        let all: Vec<Pair<'_>> = first
            .into_iter()
            .chain(later.map(|(name, text)| ((&**name).into(), (&**text).into())))
            .collect();
        visitor.visit_seq(Elements(&all))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, PairError> {
        visitor.visit_enum(text(self.text))
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Newest,
        Oldest,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Search {
        page: u32,
        order: Option<Order>,
        #[serde(default)]
        tag: Vec<String>,
        #[serde(default)]
        exact: bool,
    }

    fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        from_pairs(&decode(text.as_bytes())).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_have_their_types() {
        let search = Search {
            page: 2,
            order: Some(Order::Oldest),
            tag: vec!["a b".into(), "ü".into()],
            exact: true,
        };
        assert_eq!(parse("tag=a+b&page=2&order=oldest&tag=%C3%BC&exact=on"), Ok(search));
        let search = Search { page: 1, order: None, tag: vec![], exact: false };
        assert_eq!(parse("page=1&unknown=x"), Ok(search));
    }

    #[test]
    fn errors_name_what_they_are_about() {
        let error = |text| parse::<Search>(text).expect_err("an error");
        assert_eq!(error("page=x"), "`page` is \"x\", which is no u32");
        assert_eq!(error("order=newest"), "`page` is missing");
        assert!(error("page=1&order=best").starts_with("`order` unknown variant `best`"));
        assert_eq!(error("page=1&exact=maybe"), "`exact` is \"maybe\", which is no bool");
    }

    #[test]
    fn maps_and_pairs_take_everything() {
        let map = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".into(), "2".into())]);
        assert_eq!(parse("a=1&b=2"), Ok(map));
        let pairs: Vec<(String, u8)> = vec![("a".into(), 1), ("a".into(), 2)];
        assert_eq!(parse("a=1&a=2"), Ok(pairs));
    }

    #[test]
    fn texts_are_one_value_a_tuple_or_a_struct() {
        let pairs = decode(b"id=7&page=2");
        assert_eq!(from_texts::<(u8, String)>(&pairs).ok(), Some((7, "2".to_owned())));
        assert_eq!(from_texts::<Vec<u8>>(&pairs).ok(), Some(vec![7, 2]));
        assert_eq!(from_texts::<u8>(&pairs[..1]).ok(), Some(7));
        let search = from_texts::<Search>(&pairs[1..]).expect("a struct");
        assert_eq!(search.page, 2);
        let error = from_texts::<u8>(&pairs).expect_err("two").to_string();
        assert_eq!(error, "there are 2 parameters, not one");
        let error = from_texts::<u8>(&decode(b"id=x")).expect_err("no number").to_string();
        assert_eq!(error, "`id` is \"x\", which is no u8");
    }
}
