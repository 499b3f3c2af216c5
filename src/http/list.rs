//! The shapes of request bodies that serde would read too generously: an object where it would
//! also take an array by position, and a list that knows its bound while it is read.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits::BATCH_LINES_MAX;

/// How the error of a list that is too long begins. No other error of a body begins so.
pub const TOO_LONG: &str = "must hold at most ";

/// A JSON object, never an array whose members are taken by their position.
#[derive(Debug, Clone, Copy)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        input.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// An element of a list.
pub trait Element<'de>: Sized {
    /// Most elements of one list.
    const MAX: usize;

    /// Reads the next element.
    fn next<A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error>;

    /// Lines inside the element; all of a list together are bounded too.
    fn lines(&self) -> usize {
        0
    }
}

/// A list that is not read on once it is too long: what a small body can make of little text must
/// not take memory out of proportion.
#[derive(Debug)]
pub struct List<T>(pub Vec<T>);

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Element<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Element<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
                let (mut list, mut lines) = (Vec::new(), 0_usize);
                while let Some(element) = T::next(&mut input)? {
                    lines += element.lines();
                    if list.len() == T::MAX {
                        let max = T::MAX;
                        return Err(A::Error::custom(format_args!("{TOO_LONG}{max} elements")));
                    }
                    if lines > BATCH_LINES_MAX {
                        let max = BATCH_LINES_MAX;
                        return Err(A::Error::custom(format_args!(
                            "{TOO_LONG}{max} lines together"
                        )));
                    }
                    list.push(element);
                }
                Ok(List(list))
            }
        }
        input.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// Reads the next element of a list of objects.
pub fn next_object<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    list: &mut A,
) -> Result<Option<T>, A::Error> {
    Ok(list.next_element::<Object<T>>()?.map(|Object(found)| found))
}
