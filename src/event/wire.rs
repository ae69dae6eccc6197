//! The event as Slack writes it, decoded without copying what needs no unescaping.
//!
//! Slack adds fields and changes their types without notice, so decoding is lenient: a part of an
//! unexpected shape counts as absent, an unknown field is passed over, the last of two equal keys
//! counts. The line itself stays whole in the column `raw`.
//!
//! Most lines hold no escape and nothing odd: [`scan`] reads those, several times as fast as
//! `serde_json`, which reads all others and has the last word on what is JSON.

mod scan;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// A scalar as text: strings as they are, numbers and booleans as JSON writes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The text, `None` when it is absent, null or not a scalar.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The same, with the empty string counted as absent.
    pub fn filled(&self) -> Option<&str> {
        self.get().filter(|text| !text.is_empty())
    }

    fn owned(text: String) -> Self {
        Self(Some(Cow::Owned(text)))
    }
}

/// One audit event.
#[derive(Debug, Default, PartialEq)]
pub struct Event<'a> {
    pub id: Text<'a>,
    /// Unix seconds, or a date and time as some exporters write it.
    pub date_create: Text<'a>,
    pub action: Text<'a>,
    pub actor: Party<'a>,
    pub entity: Party<'a>,
    pub context: Context<'a>,
    /// Whether an agent, such as Slack's assistant, acted for the person; said beside `action` or in
    /// `context`.
    pub is_by_agent: bool,
    /// The JSON text of `details`, `None` when absent or null.
    pub details: Option<&'a str>,
    /// Whether the object has an array `entries`: a page of events, not an event.
    pub is_page: bool,
}

/// `actor` or `entity`: `{"type": T, T: {…}}`.
#[derive(Debug, Default, PartialEq)]
pub struct Party<'a> {
    pub kind: Text<'a>,
    pub body: Body<'a>,
}

impl Party<'_> {
    /// The type, if the object is the one that it names.
    pub fn kind_of_body(&self) -> Option<&str> {
        self.kind.get().filter(|_| self.body.named_by_type)
    }
}

/// What is read of the object inside an actor, an entity, a location or an app.
#[derive(Debug, Default, PartialEq)]
pub struct Body<'a> {
    pub kind: Text<'a>,
    pub id: Text<'a>,
    pub name: Text<'a>,
    pub title: Text<'a>,
    pub email: Text<'a>,
    pub team: Text<'a>,
    pub domain: Text<'a>,
    /// Whether this came under the key that `type` names.
    named_by_type: bool,
}

/// `context`.
#[derive(Debug, Default, PartialEq)]
pub struct Context<'a> {
    pub location: Body<'a>,
    pub user_agent: Text<'a>,
    pub ip: Text<'a>,
    pub session_id: Text<'a>,
    pub app: Body<'a>,
    /// Whether there is an app at all, whatever is said of it.
    pub is_by_app: bool,
    /// See [`Event::is_by_agent`].
    pub is_by_agent: bool,
}

/// The event that the text is.
///
/// # Errors
/// When it is no JSON object.
pub fn read(text: &str) -> serde_json::Result<Event<'_>> {
    match scan::read(text) {
        Some(event) => Ok(event),
        None => serde_json::from_str(text),
    }
}

/// An object whose fields are taken one by one, whatever else it holds.
trait Fields<'de>: Default {
    fn take<V: Values<'de>>(&mut self, key: &str, values: &mut V) -> Result<(), V::Error>;
}

/// The value that stands next, after its key; it must be taken in one of these ways.
trait Values<'de> {
    type Error;

    fn text(&mut self) -> Result<Text<'de>, Self::Error>;
    fn object<T: Fields<'de>>(&mut self) -> Result<T, Self::Error>;
    /// As it is written.
    fn raw(&mut self) -> Result<&'de str, Self::Error>;
    fn skip(&mut self) -> Result<(), Self::Error>;
}

/// The values of an object that `serde` reads.
struct Map<A>(A);

impl<'de, A: MapAccess<'de>> Values<'de> for Map<A> {
    type Error = A::Error;

    fn text(&mut self) -> Result<Text<'de>, A::Error> {
        self.0.next_value()
    }

    fn object<T: Fields<'de>>(&mut self) -> Result<T, A::Error> {
        self.0.next_value_seed(Lenient(PhantomData))
    }

    fn raw(&mut self) -> Result<&'de str, A::Error> {
        Ok(self.0.next_value::<&RawValue>()?.get())
    }

    fn skip(&mut self) -> Result<(), A::Error> {
        self.0.next_value::<IgnoredAny>().map(drop)
    }
}

impl<'de> Fields<'de> for Event<'de> {
    fn take<V: Values<'de>>(&mut self, key: &str, values: &mut V) -> Result<(), V::Error> {
        match key {
            "id" => self.id = values.text()?,
            "date_create" => self.date_create = values.text()?,
            "action" => self.action = values.text()?,
            "actor" => self.actor = values.object()?,
            "entity" => self.entity = values.object()?,
            "context" => self.context = values.object()?,
            "acting_agent" => {
                let raw = values.raw()?;
                self.is_by_agent = !matches!(raw, "null" | "\"\"" | "false");
            }
            "details" => {
                let raw = values.raw()?;
                self.details = Some(raw).filter(|text| *text != "null");
            }
            "entries" => {
                let raw = values.raw()?;
                self.is_page = raw.starts_with('[');
            }
            _ => values.skip()?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Party<'de> {
    fn take<V: Values<'de>>(&mut self, key: &str, values: &mut V) -> Result<(), V::Error> {
        if key == "type" {
            self.kind = values.text()?;
            return Ok(());
        }
        // `type` usually comes first; if it does not, the first object stands until a person is
        // named: no other object is beside another.
        let named = self.kind.get() == Some(key) || self.kind.0.is_none() && key == "user";
        if named || !self.body.named_by_type {
            let body: Body = values.object()?;
            if named || self.body.is_empty() {
                self.body = body;
                self.body.named_by_type = named;
            }
        } else {
            values.skip()?;
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Body<'de> {
    fn take<V: Values<'de>>(&mut self, key: &str, values: &mut V) -> Result<(), V::Error> {
        match key {
            "type" => self.kind = values.text()?,
            "id" => self.id = values.text()?,
            "name" => self.name = values.text()?,
            "title" => self.title = values.text()?,
            "email" => self.email = values.text()?,
            "team" => self.team = values.text()?,
            "domain" => self.domain = values.text()?,
            _ => values.skip()?,
        }
        Ok(())
    }
}

impl Body<'_> {
    fn is_empty(&self) -> bool {
        self.id.0.is_none() && self.name.0.is_none() && self.title.0.is_none()
    }
}

impl<'de> Fields<'de> for Context<'de> {
    fn take<V: Values<'de>>(&mut self, key: &str, values: &mut V) -> Result<(), V::Error> {
        match key {
            "location" => self.location = values.object()?,
            "ua" => self.user_agent = values.text()?,
            "ip_address" => self.ip = values.text()?,
            "session_id" => self.session_id = values.text()?,
            "app" => {
                let raw = values.raw()?;
                self.is_by_app = !matches!(raw, "null" | "\"\"" | "false" | "{}" | "[]");
                self.app = serde_json::from_str(raw).unwrap_or_default();
            }
            "acting_agent" => {
                let raw = values.raw()?;
                self.is_by_agent = !matches!(raw, "null" | "\"\"" | "false");
            }
            _ => values.skip()?,
        }
        Ok(())
    }
}

/// Visits an object field by field; any other value gives the default.
struct Lenient<T>(PhantomData<T>);

impl<'de, T: Fields<'de>> DeserializeSeed<'de> for Lenient<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields<'de>> Visitor<'de> for Lenient<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let mut value = T::default();
        let mut values = Map(map);
        while let Some(Key(key)) = values.0.next_key()? {
            value.take(&key, &mut values)?;
        }
        Ok(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_u64<E>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_str<E>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }
}

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Lenient(PhantomData).deserialize(deserializer)
    }
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Lenient(PhantomData).deserialize(deserializer)
    }
}

/// An object's key, borrowed where it holds no escape.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }
    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text::owned(text.to_owned()))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
        Ok(Text::owned(number.to_string()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
        Ok(Text::owned(number.to_string()))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
        Ok(Text::owned(number.to_string()))
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Text<'de>, E> {
        Ok(Text::owned(truth.to_string()))
    }
    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text(None))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}
