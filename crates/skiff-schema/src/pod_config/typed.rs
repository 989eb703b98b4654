//! A tree seen through the types of Kubernetes: what they do not know is a fault at its line.
//!
//! Drives the types' own deserialisers: they say which fields there are and what each may hold.
//! Where something is wrong, the fault is noted and a neutral value handed on, so that all faults
//! of a fragment are found at once.

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::faults::{Fault, MAX_FAULTS};
use crate::path::Path;
use crate::words;
use crate::yaml::{Entry, Integer, Node, Value};

use super::quantity;

/// Above this number of fields a message does not list them.
const FEW: usize = 12;

/// Finds what is wrong with a tree that is to be a `T`.
pub(super) fn check<'de, T: Deserialize<'de>>(
    node: &Node,
    path: &Path<'_>,
    faults: &mut Vec<Fault>,
) {
    let found = RefCell::new(std::mem::take(faults));
    let typed = Typed {
        node,
        path,
        found: &found,
    };
    if let Err(Stopped(why)) = T::deserialize(typed) {
        typed.fault(format!("`{path}`: {why}"), "", None);
    }
    *faults = found.into_inner();
}

/// A value on its way into a type.
#[derive(Clone, Copy)]
struct Typed<'a> {
    node: &'a Node,
    path: &'a Path<'a>,
    found: &'a RefCell<Vec<Fault>>,
}

impl Typed<'_> {
    fn fault(&self, message: String, label: &str, help: Option<&str>) {
        let fault = Fault::new(message).at(self.node.span, label);
        self.found.borrow_mut().push(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    fn must_be(&self, what: &str) {
        let value = &self.node.value;
        let message = format!(
            "`{}` must be {what}, and this is {}",
            self.path,
            value.kind()
        );
        let is_scalar = !matches!(
            value,
            Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::String(_)
        );
        let help = (is_scalar && what.contains("a string")).then_some("write it in quotes");
        self.fault(message, &format!("must be {what}"), help);
    }

    /// The whole number, if it is one of so many bits.
    fn integer(&self, bits: u32) -> i64 {
        let bound = i64::MAX >> (64 - bits);
        let Value::Int(integer) = &self.node.value else {
            self.must_be("a whole number");
            return 0;
        };
        match integer.to_i64() {
            Some(number) if (-bound - 1..=bound).contains(&number) => number,
            _ => {
                self.too_large(integer, bound);
                0
            }
        }
    }

    fn too_large(&self, integer: &Integer, bound: i64) {
        let message = format!(
            "`{}` must be from {} to {bound}, and this is {integer}",
            self.path,
            -bound - 1
        );
        self.fault(message, "out of bounds", None);
    }

    fn entries(&self) -> &[Entry] {
        if let Value::Mapping(entries) = &self.node.value {
            return entries;
        }
        self.must_be("a mapping");
        &[]
    }

    fn items(&self) -> &[Node] {
        if let Value::Sequence(items) = &self.node.value {
            return items;
        }
        self.must_be("a list");
        &[]
    }

    /// The amount as text, if it is one.
    fn quantity(&self) -> String {
        let value = &self.node.value;
        if !matches!(value, Value::Int(_) | Value::Float(_) | Value::String(_)) {
            self.must_be("an amount");
            return "0".to_owned();
        }
        let text = value.to_python_string();
        if quantity::is_one(&text) {
            return text;
        }
        let message = format!("`{}`: `{text}` is no amount", self.path);
        let help = "write a number with a unit of Kubernetes, as in `500m`, `2`, `512Mi` or `16G`";
        self.fault(message, "", Some(help));
        "0".to_owned()
    }

    /// A key that its mapping does not have.
    fn unknown(&self, key: &Node, known: &[&str]) {
        // Looking for the word that was meant is worth it only where it may be told.
        if self.found.borrow().len() >= MAX_FAULTS {
            return;
        }
        let name = key.value.to_python_string();
        let fault = Fault::new(format!("unknown field `{}`", self.path.key(&name)));
        let help = match words::similar(&name, known.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None if known.len() <= FEW => format!("known here: {}", words::all_of(known)),
            None => format!(
                "`kubectl explain {}` lists what is known here",
                explained(self.path)
            ),
        };
        let fault = fault.at(key.span, "unknown").help(help);
        self.found.borrow_mut().push(fault);
    }
}

/// A place within a pod as `kubectl explain` names it: `pod.spec.containers`.
fn explained(path: &Path<'_>) -> String {
    let path = path.to_string();
    let (_, within) = path.rsplit_once("pod_config").unwrap_or(("", ""));
    let mut explained = "pod".to_owned();
    for step in within
        .split(['[', '.'])
        .filter(|step| !step.ends_with(']') && !step.is_empty())
    {
        explained.push('.');
        explained.push_str(step);
    }
    explained
}

impl<'de> Deserializer<'de> for Typed<'_> {
    type Error = Stopped;

    /// The only types that take several kinds are those of a number or a name.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        match &self.node.value {
            Value::String(text) => visitor.visit_str(text),
            Value::Int(_) => visitor.visit_i64(self.integer(32)),
            _ => {
                self.must_be("a string or a whole number");
                visitor.visit_str("")
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        if let Value::Bool(value) = self.node.value {
            return visitor.visit_bool(value);
        }
        self.must_be("a boolean");
        visitor.visit_bool(false)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_i64(self.integer(32))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_i64(self.integer(64))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        if let Value::String(text) = &self.node.value {
            return visitor.visit_str(text);
        }
        self.must_be("a string");
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        if name == "Quantity" {
            let text = self.quantity();
            let text: StrDeserializer<'_, Stopped> = text.as_str().into_deserializer();
            return visitor.visit_newtype_struct(text);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_seq(Items {
            list: self,
            items: self.items().iter().enumerate(),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_map(Fields {
            mapping: self,
            entries: self.entries().iter(),
            known: None,
            name: String::new(),
            value: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stopped> {
        visitor.visit_map(Fields {
            mapping: self,
            entries: self.entries().iter(),
            known: Some(fields),
            name: String::new(),
            value: None,
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stopped> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier
    }
}

/// The items of a list, one after the other.
struct Items<'a> {
    list: Typed<'a>,
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Stopped;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Stopped> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        let path = self.list.path.item(index);
        let typed = Typed {
            node,
            path: &path,
            found: self.list.found,
        };
        seed.deserialize(typed).map(Some)
    }
}

/// The fields of a mapping, one after the other; those that hold nothing are not written.
struct Fields<'a> {
    mapping: Typed<'a>,
    entries: std::slice::Iter<'a, Entry>,
    /// The fields of a type; None where users choose the keys.
    known: Option<&'static [&'static str]>,
    name: String,
    value: Option<&'a Node>,
}

impl<'a> Fields<'a> {
    /// The next field that is known.
    fn advance(&mut self) -> Option<&'a Node> {
        for Entry { key, value } in self.entries.by_ref() {
            let name = match &key.value {
                Value::String(name) => name,
                _ if self.known.is_none() => {
                    let (path, kind) = (self.mapping.path, key.value.kind());
                    let message = format!("a key of `{path}` must be a string, and this is {kind}");
                    let key = Typed {
                        node: key,
                        ..self.mapping
                    };
                    key.fault(message, "must be a string", Some("write it in quotes"));
                    continue;
                }
                _ => {
                    self.mapping.unknown(key, self.known.unwrap_or_default());
                    continue;
                }
            };
            if self
                .known
                .is_some_and(|known| !known.contains(&name.as_str()))
            {
                self.mapping.unknown(key, self.known.unwrap_or_default());
            } else if value.value != Value::Null {
                self.name.clone_from(name);
                return Some(value);
            }
        }
        None
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Stopped;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stopped> {
        self.value = self.advance();
        if self.value.is_none() {
            return Ok(None);
        }
        let name: StrDeserializer<'_, Stopped> = self.name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stopped> {
        let node = self.value.take().expect("a value follows its key");
        let path = self.mapping.path.key(&self.name);
        let found = self.mapping.found;
        seed.deserialize(Typed {
            node,
            path: &path,
            found,
        })
    }
}

/// Why a type could not be looked at to its end.
#[derive(Debug)]
struct Stopped(String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stopped {}

impl de::Error for Stopped {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}
